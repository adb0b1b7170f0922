/** The options of `serve` for access rules. */
import { Option, type Command } from 'commander';
import { quoted } from '../../quoted.js';
import type { Allow } from '../../server/access.js';
import {
  allowByRules,
  badRule,
  parseAccessRule,
  type AccessRule,
} from '../../server/access-rules.js';
import type { Logger } from '../../server/log/logger.js';
import type { TlsOptions } from '../../server/tls/options.js';
import { peerCredentialsAvailable } from '../../sockets/peer.js';
import { parsedBy } from './parsing.js';

/** If both are present, both are the same list: all rules in the order of the command line. */
export interface AccessFlags {
  readonly allow?: readonly AccessRule[];
  readonly deny?: readonly AccessRule[];
}

export function addAccessOptions(command: Command): Command {
  const rules: AccessRule[] = [];
  const rule = (flag: 'allow' | 'deny', what: string): Option =>
    new Option(`--${flag} <rule>`, what).argParser(
      parsedBy((text) => {
        rules.push(parseAccessRule(text, flag === 'allow'));
        return rules;
      }),
    );
  return command
    .addOption(rule('allow', 'allow matching clients and reject all others; may be repeated'))
    .addOption(
      rule('deny', 'reject matching clients; may be repeated; the first matching rule applies'),
    );
}

/**
 * Undefined if there are no rules. Logs a warning if rules need the addon, which is missing.
 * @throws NbdError `NBDCORK_BAD_RULE` for a rule about an unknown export, or one
 *   that has no effect with these TLS options.
 */
export function allowFrom(
  flags: AccessFlags,
  exportNames: readonly string[],
  tls: TlsOptions | undefined,
  logger: Logger,
): Allow | undefined {
  const rules = flags.allow ?? flags.deny;
  if (rules === undefined) return undefined;
  checkRuleExports(rules, exportNames);
  checkTlsRules(rules, tls);
  if (!peerCredentialsAvailable && rules.some(({ kind }) => kind === 'user' || kind === 'group')) {
    logger.warn(
      {},
      'Peer credentials are unavailable without the addon: for clients on Unix sockets, ' +
        'every --deny rule for a user or group matches, and no --allow rule does.',
    );
  }
  return allowByRules(rules);
}

/**
 * A rule with a mistyped name would reject no clients. Requests for the empty name
 * are checked as requests for the default export.
 * @throws NbdError `NBDCORK_BAD_RULE` for a rule about an unknown export.
 */
function checkRuleExports(rules: readonly AccessRule[], names: readonly string[]): void {
  for (const { exportName, text } of rules) {
    if (exportName === undefined || names.includes(exportName)) continue;
    const known = names.map((name) => quoted(name)).join(', ');
    throw badRule(text, `Unknown export ${quoted(exportName)}: the exports are ${known}.`);
  }
}

/**
 * @throws NbdError `NBDCORK_BAD_RULE` for a rule about certificates or keys that no
 *   client can match, or that clients can bypass by not authenticating.
 */
function checkTlsRules(rules: readonly AccessRule[], tls: TlsOptions | undefined): void {
  const { mode = 'on', certificate, verifyPeer = false, preSharedKeys } = tls ?? {};
  const provable = {
    certificate: certificate !== undefined && verifyPeer,
    psk: preSharedKeys !== undefined,
  };
  const optional = mode !== 'require' || (certificate !== undefined && !verifyPeer);
  for (const { kind, text, allows } of rules) {
    if (kind !== 'certificate' && kind !== 'psk') continue;
    if (mode === 'off' || !provable[kind]) {
      const needed = kind === 'psk' ? '--tls-psk' : '--tls-certificates and --tls-verify-peer';
      throw badRule(text, `No client can match it: add ${needed}, without --tls=off.`);
    }
    if (!allows && optional) {
      throw badRule(
        text,
        'Clients can bypass this rule by not authenticating: add --tls=require, and ' +
          '--tls-verify-peer with certificates; or use --allow rules instead.',
      );
    }
  }
}
