/** Random bytes, reproducible from their seed, and those of them that a peer should receive. */

/** The seed of this run: NBDCORK_TEST_SEED, or the clock. */
export const seed = Number(process.env['NBDCORK_TEST_SEED'] ?? Date.now() % 2 ** 31);

const poolWords = 1 << 19;

/** Pieces in new memory of several kinds. `expected` is all of them in order of creation. */
export class Material {
  private readonly copies: Buffer[] = [];
  private readonly made: Uint8Array[] = [];
  private readonly pool: Buffer;
  private state: number;

  constructor(from = seed) {
    this.state = from | 1;
    const words = new Uint32Array(poolWords);
    for (let index = 0; index < poolWords; index++) words[index] = this.random();
    this.pool = Buffer.from(words.buffer);
  }

  /** Marsaglia's xorshift: 32 random bits. */
  random(): number {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return state >>> 0;
  }

  piece(length: number): Uint8Array {
    const start = this.random() % (this.pool.length - length);
    const bytes = this.pool.subarray(start, start + length);
    this.copies.push(Buffer.from(bytes));
    const piece = this.memory(length);
    piece.set(bytes);
    this.made.push(piece);
    return piece;
  }

  pieces(lengths: readonly number[]): Uint8Array[] {
    return lengths.map((length) => this.piece(length));
  }

  expected(): Buffer {
    return Buffer.concat(this.copies);
  }

  /** Overwrite the memory of all pieces, which is allowed when nothing is queued. */
  overwrite(): void {
    for (const piece of this.made) piece.fill(0xee);
    this.made.length = 0;
  }

  private memory(length: number): Uint8Array {
    switch (this.random() % 4) {
      case 0:
        return new Uint8Array(new SharedArrayBuffer(length + 5), 5, length);
      case 1:
        return new Uint8Array(length + 9).subarray(3, 3 + length);
      case 2:
        return Buffer.alloc(length);
      default:
        return new Uint8Array(length);
    }
  }
}
