/** Why words choose nothing, each of which alone chooses something. */
import type { Dimension } from './selection.js';

/** Whether words of a dimension were given, and all of them are among these. */
export type Only = (dimension: Dimension, ...words: readonly string[]) => boolean;

const exclusions: readonly (readonly [(only: Only) => boolean, string])[] = [
  [
    (only) => only('link', 'pipe') && only('connections', 'connections=8'),
    'a pipe is one connection',
  ],
  [
    (only) => only('kind', 'extents') && only('headers', 'simple'),
    'BLOCK_STATUS has no simple reply',
  ],
  [
    (only) => only('kind', 'read-64k', 'mixed-4k') && only('headers', 'structured', 'extended'),
    'structured and extended headers are much of a small reply alone, so they are measured of read-4k, read-512 and extents',
  ],
  [
    (only) =>
      only('headers', 'structured', 'extended') &&
      (only('depth', 'depth=1') || only('connections', 'connections=8')),
    'other headers than the usual are measured on one connection alone, 64 requests at a time',
  ],
];

const exclusionsOfFio: typeof exclusions = [
  [(only) => only('kind', 'extents'), 'fio cannot ask BLOCK_STATUS'],
  [
    (only) => only('link', 'unix-tls', 'tcp-tls', 'pipe'),
    'fio connects by Unix sockets and TCP, without TLS',
  ],
  [
    (only) => only('headers', 'structured', 'extended'),
    'fio chooses the headers itself: leave out the word for them',
  ],
];

/** What excludes what, as far as it is known. */
export function whyNothing(only: Only, load: 'nbdcork' | 'fio'): string[] {
  const all = load === 'fio' ? [...exclusions, ...exclusionsOfFio] : exclusions;
  return all.filter(([applies]) => applies(only)).map(([, why]) => why);
}
