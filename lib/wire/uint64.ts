/** Unsigned 64-bit numbers without BigInt. Hot. */

/** What the upper half of one counts in. */
export const twoTo32 = 2 ** 32;

/** `value` is an integer of at most 2^53 − 1. */
export function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / twoTo32));
  // By its definition this takes the lower half, without the price of a remainder.
  view.setUint32(at + 4, value);
}

/** Exact up to 2^53 − 1; past that only known to be larger. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * twoTo32 + view.getUint32(at + 4);
}
