import { NbdError } from '../../errors.js';
import { allocatePages } from '../../memory/pages.js';
import { SortedNumbers } from './sorted-numbers.js';

/**
 * The chunks of a memory disk by their number on the disk. A chunk that is
 * dropped stays in memory as long as replies refer to it.
 */
export class ChunkTable {
  /** Bytes of memory that the chunks take. */
  allocatedBytes = 0;
  /** The numbers of the chunks. */
  readonly numbers = new SortedNumbers();
  private readonly chunks = new Map<number, Uint8Array>();
  private readonly chunksMax: number;
  private readonly hugePages: boolean;
  private closed = false;

  constructor(chunksMax: number, hugePages: boolean) {
    this.chunksMax = chunksMax;
    this.hugePages = hugePages;
  }

  get(number: number): Uint8Array | undefined {
    return this.chunks.get(number);
  }

  has(number: number): boolean {
    return this.chunks.has(number);
  }

  /** Adds a chunk of `length` zeros, of which there is none yet. @throws NbdError `ENOMEM` or `ESHUTDOWN`. */
  add(number: number, length: number): Uint8Array {
    if (this.closed) throw new NbdError('ESHUTDOWN', 'The memory disk is closed.');
    if (this.chunks.size >= this.chunksMax) {
      throw new NbdError(
        'ENOMEM',
        `The memory disk has ${this.chunksMax} chunks, its limit. ` +
          'Trim it, or create it with larger chunks or a higher limit.',
      );
    }
    const chunk = this.allocate(length);
    this.set(number, chunk);
    return chunk;
  }

  drop(number: number): void {
    const chunk = this.chunks.get(number);
    if (chunk === undefined) return;
    this.allocatedBytes -= chunk.length;
    this.chunks.delete(number);
    this.numbers.delete(number);
  }

  /** Replaces a chunk by one of `length` bytes, zeros past its content. @throws NbdError as `add`. */
  lengthen(number: number, chunk: Uint8Array, length: number): void {
    this.drop(number);
    try {
      this.add(number, length).set(chunk);
    } catch (error) {
      this.set(number, chunk);
      throw error;
    }
  }

  /** Drops all chunks and allows no others. */
  close(): void {
    this.closed = true;
    this.chunks.clear();
    this.numbers.clear();
    this.allocatedBytes = 0;
  }

  private set(number: number, chunk: Uint8Array): void {
    this.chunks.set(number, chunk);
    this.numbers.add(number);
    this.allocatedBytes += chunk.length;
  }

  private allocate(length: number): Uint8Array {
    try {
      return allocatePages(length, this.hugePages);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new NbdError(
        'ENOMEM',
        `There is no memory for ${length} more bytes of the memory disk, which has ` +
          `${this.allocatedBytes}. Trim it, or give the process more memory.`,
        cause,
      );
    }
  }
}
