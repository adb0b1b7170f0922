/** Why a combination of words selects nothing. */
import type { Dimension } from './selection.js';

/** Whether words of a dimension were given, and all of them are among these. */
export type Only = (dimension: Dimension, ...words: readonly string[]) => boolean;

const exclusions: readonly (readonly [(only: Only) => boolean, string])[] = [
  [
    (only) => only('link', 'pipe') && only('connections', 'connections=8'),
    'pipes are a single connection',
  ],
  [
    (only) => only('kind', 'extents') && only('headers', 'simple'),
    'there is no simple reply to BLOCK_STATUS',
  ],
  [
    (only) => only('kind', 'read-64k', 'mixed-4k') && only('headers', 'structured', 'extended'),
    'structured and extended headers are only measured with read-4k, read-512 and extents',
  ],
  [
    (only) =>
      only('headers', 'structured', 'extended') &&
      (only('depth', 'depth=1') || only('connections', 'connections=8')),
    'other headers are only measured with depth=64 on one connection',
  ],
];

const exclusionsOfFio: typeof exclusions = [
  [(only) => only('kind', 'extents'), 'fio does not send BLOCK_STATUS'],
  [
    (only) => only('link', 'unix-tls', 'tcp-tls', 'pipe'),
    'fio supports only Unix sockets and TCP, without TLS',
  ],
  [
    (only) => only('headers', 'structured', 'extended'),
    'fio chooses the headers itself: omit the word for them',
  ],
];

/** The reasons that apply. */
export function whyNothing(only: Only, load: 'nbdcork' | 'fio'): string[] {
  const all = load === 'fio' ? [...exclusions, ...exclusionsOfFio] : exclusions;
  return all.filter(([applies]) => applies(only)).map(([, why]) => why);
}
