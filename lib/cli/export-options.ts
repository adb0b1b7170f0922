import { InvalidArgumentError, Option, type Command } from 'commander';
import { messageOf, NbdError } from '../errors.js';
import {
  allowByRules,
  checkRuleExports,
  checkTlsRules,
  parseAccessRule,
  type AccessRule,
  type Allow,
} from '../server/access.js';
import type { ExportOptions, Logger } from '../server/options.js';
import type { TlsOptions } from '../server/tls/options.js';
import { knowsPeers } from '../sockets/peer.js';

/** What the command line says of exports and of who may use them, as commander parses it. */
export interface ExportFlags {
  readonly readOnly?: true;
  readonly resizable?: true;
  readonly readOnlyExport?: readonly string[];
  readonly description?: ReadonlyMap<string, string>;
  readonly defaultExport?: string;
}

/** Either is the list of all rules. */
export interface RuleFlags {
  readonly allow?: readonly AccessRule[];
  readonly deny?: readonly AccessRule[];
}

export function addExportOptions(command: Command): Command {
  // One list for both, since their order counts.
  const rules: AccessRule[] = [];
  const rule = (flag: string, what: string, allows: boolean): Option =>
    new Option(`--${flag} <rule>`, what).argParser((text: string) => {
      rules.push(parsed(() => parseAccessRule(text, allows)));
      return rules;
    });
  return command
    .option('-r, --read-only', 'refuse every write')
    .option(
      '--read-only-export <name>',
      'refuse every write to this export; may be repeated',
      append,
    )
    .option('--resizable', 'let clients change the size of memory and of files')
    .option(
      '--description <name=text>',
      'what clients see that list exports, instead of its source; may be repeated',
      describe,
    )
    .option('--default-export <name>', 'the export of clients that ask for none')
    .addOption(rule('allow', 'let these clients in, and no others; may be repeated', true))
    .addOption(
      rule(
        'deny',
        'keep these clients out; may be repeated, and of all rules the first that matches decides',
        false,
      ),
    );
}

/**
 * Undefined where no rule was given. What rules cannot tell here is logged.
 * @throws NbdError `NBDCORK_BAD_RULE` for a rule that is worth nothing with these
 *   names of exports, or with this TLS.
 */
export function allowFrom(
  options: RuleFlags,
  names: readonly string[],
  tls: TlsOptions | undefined,
  logger: Logger,
): Allow | undefined {
  const rules = options.allow ?? options.deny;
  if (rules === undefined) return undefined;
  checkRuleExports(rules, names);
  checkTlsRules(rules, tls);
  if (!knowsPeers && rules.some(({ kind }) => kind === 'user' || kind === 'group')) {
    logger.warn(
      {},
      'Without the addon nobody can tell who comes by a Unix socket: ' +
        'every --deny of a user or group keeps all of them out, and no --allow lets one in.',
    );
  }
  return allowByRules(rules);
}

/** What the flags say of the export of that name, whose source is shown where nothing else is. */
export function flagsOf(
  flags: ExportFlags,
  name: string,
  source: string,
): Required<Pick<ExportOptions, 'readOnly' | 'resizable' | 'description'>> {
  return {
    readOnly: flags.readOnly === true || flags.readOnlyExport?.includes(name) === true,
    resizable: flags.resizable === true,
    description: flags.description?.get(name) ?? source,
  };
}

/** @throws NbdError `NBDCORK_BAD_EXPORT` for a flag about an export that is not served. */
export function checkFlags(flags: ExportFlags, names: readonly string[]): void {
  const { readOnlyExport = [], description = new Map<string, string>() } = flags;
  for (const name of [...readOnlyExport, ...description.keys()]) {
    if (names.includes(name)) continue;
    throw new NbdError(
      'NBDCORK_BAD_EXPORT',
      `There is no export '${name}' to say that of: the exports are ${names.map((one) => `'${one}'`).join(', ')}.`,
    );
  }
}

function append(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

function describe(
  text: string,
  previous: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const at = text.indexOf('=');
  if (at < 0) throw new InvalidArgumentError('Write NAME=TEXT.');
  return new Map([...previous, [text.slice(0, at), text.slice(at + 1)]]);
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}
