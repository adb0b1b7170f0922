/**
 * Memory for bytes that are handed out and never given back: carved from one
 * slab until it is used up, then from a new one. A slab is left to the garbage
 * collector, which frees it when nothing refers to it any more.
 *
 * Far cheaper than an allocation a piece; on the other hand the smallest piece
 * keeps its whole slab alive, so slabs are small and large pieces stand alone.
 */
export class Slab {
  /** The slab that is carved now. */
  memory: Uint8Array;
  /** The longest piece that is carved from a slab, in bytes. */
  readonly pieceBytesMax: number;
  private used = 0;
  private readonly slabBytes: number;

  constructor(slabBytes: number) {
    this.slabBytes = slabBytes;
    this.pieceBytesMax = slabBytes / 4;
    this.memory = Buffer.allocUnsafeSlow(slabBytes);
  }

  /**
   * Where in `memory` the next `length` bytes are free, at most `pieceBytesMax`.
   * They stay free until they are kept.
   */
  place(length: number): number {
    if (this.used + length > this.slabBytes) {
      this.memory = Buffer.allocUnsafeSlow(this.slabBytes);
      this.used = 0;
    }
    return this.used;
  }

  /** The `length` bytes of the last `place` are not free any more. */
  keep(length: number): void {
    // Pieces begin on cache lines.
    this.used += (length + 63) & ~63;
  }

  /** `length` bytes of whatever content. */
  take(length: number): Uint8Array {
    if (length > this.pieceBytesMax) return Buffer.allocUnsafeSlow(length);
    const start = this.place(length);
    this.keep(length);
    return new Uint8Array(this.memory.buffer, this.memory.byteOffset + start, length);
  }
}
