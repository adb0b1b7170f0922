import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openTls, type TlsFlags } from '../../../lib/cli/options/tls-options.js';

describe('--tls=off cannot be used with', () => {
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
          message: new RegExp(`^${flag} `),
        });
      });
    }
  }
});
