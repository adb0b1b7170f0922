import { NbdError } from '../errors.js';
import { quoted } from '../quoted.js';

/**
 * Backends may be written in JavaScript, where types are not checked.
 * @throws NbdError `EIO` where the result of a metadata context is not iterable.
 */
export function checkExtents(contextName: string, extents: unknown): void {
  if (typeof extents === 'object' && extents !== null && Symbol.iterator in extents) return;
  throw new NbdError(
    'EIO',
    `The metadata context ${quoted(contextName)} returned a value that is not iterable. ` +
      'Return an array of extents, or another iterable.',
  );
}

/** @throws NbdError `EIO` where an array of extents has an empty slot. */
export function checkedExtent<T>(extent: T | null | undefined): T {
  if (extent !== null && extent !== undefined) return extent;
  throw new NbdError('EIO', `Backend returned invalid extents: one is ${String(extent)}.`);
}
