/** Unsigned 64-bit numbers without BigInt. Hot. */

/** The weight of the upper half. */
export const twoTo32 = 2 ** 32;

/** `value` is an integer of at most 2^53 − 1. */
export function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / twoTo32));
  // setUint32 takes the value modulo 2^32, which is cheaper than a remainder here.
  view.setUint32(at + 4, value);
}

/** Exact up to 2^53 − 1. Larger values are rounded, and stay larger. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * twoTo32 + view.getUint32(at + 4);
}
