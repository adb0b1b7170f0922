/** Which access rules the command line rejects. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allowFrom } from '../../../lib/cli/options/access-options.js';
import { parseAccessRule, type TlsOptions } from '../../../lib/index.js';
import { silentLogger } from '../../../lib/server/log/logger.js';

describe('rules about one export', () => {
  const check = (text: string, ...names: string[]): void => {
    const rules = [parseAccessRule('any', true), parseAccessRule(text, false)];
    allowFrom({ deny: rules }, names, undefined, silentLogger);
  };

  test('are valid for a served export, and for the default export', () => {
    check('disk=any', 'a', 'disk');
    check('=any', '', 'a');
    check('constructor=any', 'constructor');
  });

  for (const text of ['dsik=any', '=any', 'constructor=any', 'Disk=any']) {
    test(`${text} is rejected if there is no such export`, () => {
      assert.throws(() => check(text, 'a', 'disk'), {
        code: 'NBDCORK_BAD_RULE',
        message: /^Invalid access rule .*[Uu]nknown export/,
      });
    });
  }
});

describe('rules that need TLS', () => {
  const certificate = { certificate: 'PEM', key: 'PEM', authority: 'PEM' };
  const verified = { ...certificate, verifyPeer: true };
  const psk = { preSharedKeys: new Map([['alice', Buffer.alloc(32)]]) };
  const unmatchable = /No client can match it/;
  const bypassable = /Clients can bypass this rule/;
  const cases: readonly (readonly [string, TlsOptions | undefined, RegExp?])[] = [
    ['+certificate:CN=a', undefined, unmatchable],
    ['-certificate:CN=a', undefined, unmatchable],
    ['+certificate:CN=a', certificate, unmatchable],
    ['-certificate:CN=a', { mode: 'require', ...certificate }, unmatchable],
    ['+certificate:CN=a', { mode: 'require', ...psk, verifyPeer: true }, unmatchable],
    ['+certificate:CN=a', { mode: 'off', ...verified }, unmatchable],
    ['+certificate:CN=a', verified],
    ['-certificate:CN=a', verified, bypassable],
    ['-certificate:CN=a', { mode: 'require', ...verified }],
    ['+psk:alice', undefined, unmatchable],
    ['-psk:alice', undefined, unmatchable],
    ['+psk:alice', { mode: 'require', ...verified }, unmatchable],
    ['+psk:alice', { mode: 'off', ...psk }, unmatchable],
    ['+psk:alice', psk],
    ['-psk:alice', psk, bypassable],
    ['-psk:alice', { mode: 'require', ...psk }],
    ['-psk:alice', { mode: 'require', ...psk, ...certificate }, bypassable],
    ['-psk:alice', { mode: 'require', ...psk, ...verified }],
    ['-any', undefined],
    ['-user:0', undefined],
  ];
  for (const [text, tls, message] of cases) {
    const given = Object.keys(tls ?? {}).join(', ') || 'nothing';
    test(`${text} with ${tls?.mode ?? 'no mode'} and ${given}`, () => {
      const check = (): void => {
        const rule = parseAccessRule(text.slice(1), text.startsWith('+'));
        allowFrom({ allow: [rule] }, [''], tls, silentLogger);
      };
      if (message === undefined) check();
      else assert.throws(check, { code: 'NBDCORK_BAD_RULE', message });
    });
  }
});
