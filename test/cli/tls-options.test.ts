/** The options of serve about TLS: what is marked, and what makes no sense. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openTls, withTlsExports, type TlsFlags } from '../../lib/cli/tls-options.js';
import { BufferDisk, pattern } from '../support/disks.js';

describe('--tls-export', () => {
  const backend = new BufferDisk(pattern(4096));
  const names = ['a', '__proto__', 'constructor'];
  const exports = Object.fromEntries(names.map((name) => [name, { backend }]));

  for (const name of names) {
    test(`marks ${name}, and no other`, () => {
      const marked = withTlsExports(exports, { tlsExport: [name] });
      assert.deepEqual(
        Object.entries(marked).map(([each, { tls }]) => [each, tls]),
        names.map((each) => [each, each === name ? 'require' : undefined]),
      );
    });
  }

  for (const name of ['b', '', 'toString', 'hasOwnProperty']) {
    test(`${name} is refused where there is no such export`, () => {
      assert.throws(() => withTlsExports(exports, { tlsExport: [name] }), {
        code: 'NBDCORK_BAD_TLS',
        message: `--tls-export: there is no export '${name}'.`,
      });
    });
  }
});

describe('--tls off contradicts', () => {
  const files = { tlsCertificates: '/nowhere', tlsPsk: '/nowhere.psk' };
  const contradictions: readonly [string, TlsFlags][] = [
    ['--tls-verify-peer', { tlsVerifyPeer: true }],
    ['--tls-export', { tlsExport: ['a'] }],
  ];
  for (const [flag, flags] of contradictions) {
    for (const given of [{}, files]) {
      test(`${flag}, with ${Object.keys(given).join(', ') || 'no files'}`, async () => {
        await assert.rejects(openTls({ tls: 'off', ...flags, ...given }), {
          code: 'NBDCORK_BAD_TLS',
          message: `${flag} needs TLS, which --tls off turns off.`,
        });
      });
    }
  }
});
