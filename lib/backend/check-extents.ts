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

/** Likewise. @throws NbdError `EIO` where there is a hole in the array. */
export function checkedExtent<T>(extent: T | null | undefined): T {
  if (extent !== null && extent !== undefined) return extent;
  throw new NbdError(
    'EIO',
    `The backend told of extents that cannot be: ${String(extent)} among them.`,
  );
}
