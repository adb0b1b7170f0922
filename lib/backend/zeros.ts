/** The longest range of zeros that is one piece, in bytes. */
export const zeroPageBytes = 2 ** 20;

/**
 * Zeros that all replies share: never write to them. As the memory is never
 * touched, the kernel maps all of it to its own page of zeros.
 */
export const zeroPage = new Uint8Array(zeroPageBytes);

/** One piece of `length` zeros, at most `zeroPageBytes`. Never write to it. */
export function zeroPiece(length: number): Uint8Array {
  return length === zeroPageBytes ? zeroPage : new Uint8Array(zeroPage.buffer, 0, length);
}

/** True for a piece from `zeroPiece`: it is zeros, without a look at its content. */
export function isZeroPiece(piece: Uint8Array): boolean {
  return piece.buffer === zeroPage.buffer;
}

/**
 * `length` zeros for the result of a `read`, in an array of pieces. They take no
 * memory, and clients that negotiated structured replies or extended headers
 * are sent a hole. Never write to them. Spread them between other pieces:
 * `return [...zeros(1024), rest]`.
 */
export function zeros(length: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  pushZeros(pieces, length);
  return pieces;
}

/** Adds `length` zeros to `pieces`. */
export function pushZeros(pieces: Uint8Array[], length: number): void {
  for (let left = length; left > 0; left -= zeroPageBytes) {
    pieces.push(zeroPiece(Math.min(left, zeroPageBytes)));
  }
}
