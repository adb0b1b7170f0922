import type { Extent } from '../backend.js';
import type { SortedNumbers } from './sorted-numbers.js';

interface Query {
  readonly offset: number;
  readonly length: number;
  /** The size of the disk. */
  readonly size: number;
}

/** Iterates over the extents of a memory disk. Not a generator, which V8 does not inline. */
export class MemoryExtents implements IterableIterator<Extent, undefined> {
  private position: number;
  private readonly end: number;
  private readonly size: number;
  private readonly chunkBytes: number;
  private readonly chunks: SortedNumbers;

  /** `chunks` are the numbers of the chunks that are allocated. */
  constructor(chunks: SortedNumbers, chunkBytes: number, { offset, length, size }: Query) {
    this.position = offset;
    this.end = offset + length;
    this.size = size;
    this.chunkBytes = chunkBytes;
    this.chunks = chunks;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Extent, undefined> {
    const { position, chunkBytes } = this;
    if (position >= this.end) return { done: true, value: undefined };
    const index = Math.floor(position / chunkBytes);
    const next = this.chunks.next(index) ?? Infinity;
    const hole = next > index;
    this.position = Math.min((hole ? next : index + 1) * chunkBytes, this.size);
    return { done: false, value: { length: this.position - position, hole, zero: hole } };
  }
}
