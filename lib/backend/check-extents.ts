import { NbdError } from '../errors.js';
import { quoted } from '../quoted.js';

/**
 * A backend may be JavaScript that never saw a type.
 * @throws NbdError `EIO` where what a metadata context answered cannot be iterated.
 */
export function checkExtents(contextName: string, extents: unknown): void {
  if (typeof extents === 'object' && extents !== null && Symbol.iterator in extents) return;
  throw new NbdError(
    'EIO',
    `The metadata context ${quoted(contextName)} answered with something that is no extents. ` +
      'There must be an array of them, or something else that can be iterated.',
  );
}
