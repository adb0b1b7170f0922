/** The options of `serve` for access rules. */
import { Option, type Command } from 'commander';
import {
  allowByRules,
  checkRuleExports,
  checkTlsRules,
  parseAccessRule,
  type AccessRule,
  type Allow,
} from '../server/access.js';
import type { Logger } from '../server/options.js';
import type { TlsOptions } from '../server/tls/options.js';
import { peerCredentialsAvailable } from '../sockets/peer.js';
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
