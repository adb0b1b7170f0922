import { openSource } from '../backend/source.js';
import { NbdError } from '../errors.js';
import type { ExportOptions } from '../server/options.js';

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
 *   where two have the same name.
 */
export async function openExports(
  texts: readonly string[],
  options: { readonly readOnly: boolean; readonly resizable: boolean },
): Promise<Record<string, ExportOptions>> {
  const exports = new Map<string, ExportOptions>();
  try {
    for (const { name, source } of texts.map(parseNamedSource)) {
      if (exports.has(name)) {
        throw new NbdError(
          'NBDCORK_BAD_EXPORT',
          `Two sources have the name '${name}': give each its own, as NAME=SOURCE.`,
        );
      }
      const backend = await openSource(source, options);
      exports.set(name, { backend, description: source, ...options });
    }
  } catch (error) {
    await Promise.all([...exports.values()].map(async ({ backend }) => backend.close?.()));
    throw error;
  }
  return Object.fromEntries(exports);
}
