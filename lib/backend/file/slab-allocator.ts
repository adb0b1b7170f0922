/**
 * Memory that is allocated in small pieces and never freed explicitly. Pieces
 * are cut from one slab until it is used up, then from a new one. The garbage
 * collector frees a slab when nothing refers to it any more.
 *
 * This is far cheaper than an allocation per piece. As the smallest piece keeps
 * its whole slab alive, slabs are small and large pieces are allocated separately.
 */
export class SlabAllocator {
  /** The slab that pieces are cut from now. */
  slab: Uint8Array;
  /** The longest piece that is cut from a slab, in bytes. */
  readonly pieceBytesMax: number;
  private usedBytes = 0;
  private readonly slabBytes: number;

  constructor(slabBytes: number) {
    this.slabBytes = slabBytes;
    this.pieceBytesMax = slabBytes / 4;
    this.slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  /**
   * The index in `slab` of the next `length` free bytes, at most
   * `pieceBytesMax`. They stay free until `commit`.
   */
  reserve(length: number): number {
    if (this.usedBytes + length > this.slabBytes) {
      this.slab = Buffer.allocUnsafeSlow(this.slabBytes);
      this.usedBytes = 0;
    }
    return this.usedBytes;
  }

  /** Allocates the `length` bytes that were reserved last. */
  commit(length: number): void {
    // Pieces begin on cache lines.
    this.usedBytes += (length + 63) & ~63;
  }

  /** Allocates `length` bytes, which are not zeroed. */
  allocate(length: number): Uint8Array {
    if (length > this.pieceBytesMax) return Buffer.allocUnsafeSlow(length);
    const start = this.reserve(length);
    this.commit(length);
    return new Uint8Array(this.slab.buffer, this.slab.byteOffset + start, length);
  }
}
