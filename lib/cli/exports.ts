import type { Backend } from '../backend/backend.js';
import { openSource } from '../sources/open-source.js';
import { NbdError } from '../errors.js';
import type { ExportOptions } from '../server/options.js';
import { checkFlags, flagsOf, type ExportFlags } from './export-options.js';

export interface NamedSource {
  readonly name: string;
  readonly source: string;
}

/**
 * `NAME=SOURCE`, or `SOURCE` alone, which is the default export. What stands
 * before a '=' is a name only where it holds no '/' and no ':', so that paths
 * with a '=' need no quoting.
 */
export function parseNamedSource(text: string): NamedSource {
  const match = /^([^/:=]*)=(.+)$/s.exec(text);
  return match === null
    ? { name: '', source: text }
    : { name: match[1] ?? '', source: match[2] ?? '' };
}

/**
 * Open all sources, or none.
 * @throws NbdError of the first that cannot be opened, or `NBDCORK_BAD_EXPORT`
 *   where two have the same name, or a flag is about none of them.
 */
export async function openExports(
  texts: readonly string[],
  flags: ExportFlags,
): Promise<Record<string, ExportOptions>> {
  const sources = texts.map(parseNamedSource);
  checkFlags(
    flags,
    sources.map(({ name }) => name),
  );
  const exports = new Map<string, ExportOptions>();
  const opened: Backend[] = [];
  try {
    for (const { name, source } of sources) {
      if (exports.has(name)) {
        throw new NbdError(
          'NBDCORK_BAD_EXPORT',
          `Two sources have the name '${name}': give each its own, as NAME=SOURCE.`,
        );
      }
      const options = flagsOf(flags, name, source);
      const backend = await openSource(source, { readOnly: options.readOnly });
      opened.push(backend);
      exports.set(name, { backend, ...options });
    }
  } catch (error) {
    // Nothing was written to these, so what counts is why there is no server:
    // a disk that cannot be closed, either, must not hide it.
    await Promise.allSettled(opened.map(async (backend) => backend.close?.()));
    throw error;
  }
  return Object.fromEntries(exports);
}
