/** The longest run of zeros that is one piece. */
export const zeroPageBytes = 2 ** 20;

/**
 * Zeros for every reader. Nobody may write into them: the same memory is part
 * of replies to all clients. The page is never touched, so the kernel backs all
 * of it with its own page of zeros.
 */
export const zeroPage = new Uint8Array(zeroPageBytes);

/** One piece of `length` zeros, at most `zeroPageBytes`. Read it, never write to it. */
export function zeroPiece(length: number): Uint8Array {
  return length === zeroPageBytes ? zeroPage : new Uint8Array(zeroPage.buffer, 0, length);
}

/** True for what `zeroPiece` made: zeros that need not be looked at to be known. */
export function isZeroPiece(piece: Uint8Array): boolean {
  return piece.buffer === zeroPage.buffer;
}

/**
 * `length` zeros, for a backend's `read`: they take no memory, and clients that
 * agreed on structured replies or extended headers get them as a hole. Never
 * write to them.
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
