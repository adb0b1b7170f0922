/** The options of `serve` for exports, and opening the exports. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Backend } from '../../backend/backend.js';
import { NbdError } from '../../errors.js';
import type { ExportOptions } from '../../server/options.js';
import { openSource } from '../../sources/open-source.js';
import { append } from './parsing.js';

/** As commander parses them. */
export interface ExportFlags {
  readonly export?: readonly NamedSource[];
  readonly readOnly?: true;
  readonly resizable?: true;
  /** False with `--no-lock`. */
  readonly lock?: boolean;
  readonly direct?: true;
  readonly dropCache?: true;
  readonly format?: 'raw';
  readonly readOnlyExport?: readonly string[];
  readonly description?: ReadonlyMap<string, string>;
  readonly defaultExport?: string;
  /** More than one thread shares the disks. */
  readonly threads?: number;
  /** Of the options for TLS. */
  readonly tlsExport?: readonly string[];
}

export interface NamedSource {
  readonly name: string;
  readonly source: string;
}

export function addExportOptions(command: Command): Command {
  return command
    .option(
      '--export <name=source>',
      "disk to serve; the name may contain ':' and '/'; may be repeated",
      addNamedSource,
    )
    .option('-r, --read-only', 'make all exports read-only')
    .option('--read-only-export <name>', 'make this export read-only; may be repeated', append)
    .option('--resizable', 'allow clients to resize exports')
    .addOption(
      new Option(
        '--format <format>',
        'serve the bytes of files as they are, also of images and compressed files',
      ).choices(['raw']),
    )
    .option('--no-lock', 'serve files without advisory locks')
    .option('--direct', "read and write files without the system's cache (O_DIRECT)")
    .option('--drop-cache', "take what was read and written out of the system's cache")
    .option(
      '--description <name=text>',
      'description of an export in lists; may be repeated',
      addDescription,
    )
    .option('--default-export <name>', 'export for clients that request the empty name');
}

/**
 * `NAME=SOURCE`, or `SOURCE` alone, which is the default export. The part before
 * '=' is a name only if it has neither '/' nor ':', so that paths with '=' need
 * no quoting.
 */
export function parseNamedSource(text: string): NamedSource {
  const match = /^([^/:=]*)=(.+)$/s.exec(text);
  return match === null
    ? { name: '', source: text }
    : { name: match[1] ?? '', source: match[2] ?? '' };
}

/**
 * Opens all sources, or none.
 * @throws NbdError of the first source that cannot be opened; `NBDCORK_BAD_EXPORT`
 *   if two have the same name; that or `NBDCORK_BAD_TLS` if an option names an
 *   unknown export.
 */
export async function openExports(
  sources: readonly NamedSource[],
  flags: ExportFlags,
): Promise<Record<string, ExportOptions>> {
  checkNames(sources, flags);
  const exports: [name: string, ExportOptions][] = [];
  const opened: Backend[] = [];
  try {
    for (const { name, source } of sources) {
      const options = optionsFrom(flags, name);
      const open = (): Promise<Backend> =>
        openSource(source, {
          readOnly: options.readOnly,
          direct: flags.direct === true,
          dropCache: flags.dropCache === true,
          ...(flags.format !== undefined && { format: flags.format }),
          shared: (flags.threads ?? 1) > 1,
          ...(flags.lock !== undefined && { lock: flags.lock }),
        });
      const backend = await open();
      opened.push(backend);
      exports.push([name, { backend, reopen: open, ...options }]);
    }
  } catch (error) {
    // Nothing has been written: an error on closing must not hide the reason.
    await Promise.allSettled(opened.map(async (backend) => backend.close?.()));
    throw error;
  }
  return Object.fromEntries(exports);
}

function checkNames(sources: readonly NamedSource[], flags: ExportFlags): void {
  const names = new Set<string>();
  for (const { name } of sources) {
    if (names.has(name)) {
      throw new NbdError(
        'NBDCORK_BAD_EXPORT',
        `Duplicate export '${name}': name each source, as NAME=SOURCE.`,
      );
    }
    names.add(name);
  }
  const { readOnlyExport = [], description = new Map<string, string>(), tlsExport = [] } = flags;
  for (const [option, code, named] of [
    ['--read-only-export', 'NBDCORK_BAD_EXPORT', readOnlyExport],
    ['--description', 'NBDCORK_BAD_EXPORT', [...description.keys()]],
    ['--tls-export', 'NBDCORK_BAD_TLS', tlsExport],
  ] as const) {
    const unknown = named.find((name) => !names.has(name));
    if (unknown === undefined) continue;
    const known = [...names].map((name) => `'${name}'`).join(', ');
    throw new NbdError(code, `Unknown export '${unknown}' in ${option}: the exports are ${known}.`);
  }
}

function optionsFrom(flags: ExportFlags, name: string) {
  const description = flags.description?.get(name);
  return {
    readOnly: flags.readOnly === true || flags.readOnlyExport?.includes(name) === true,
    resizable: flags.resizable === true,
    ...(description !== undefined && { description }),
    ...(flags.tlsExport?.includes(name) === true && { tls: 'require' as const }),
  };
}

/** Here the first '=' always separates. */
function addNamedSource(
  text: string,
  previous: readonly NamedSource[] = [],
): readonly NamedSource[] {
  const at = text.indexOf('=');
  if (at < 0 || at === text.length - 1) throw new InvalidArgumentError('It must be NAME=SOURCE.');
  return [...previous, { name: text.slice(0, at), source: text.slice(at + 1) }];
}

function addDescription(
  text: string,
  previous: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const at = text.indexOf('=');
  if (at < 0) throw new InvalidArgumentError('It must be NAME=TEXT.');
  return new Map([...previous, [text.slice(0, at), text.slice(at + 1)]]);
}
