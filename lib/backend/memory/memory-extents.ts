import type { Extent } from '../backend.js';
import type { SortedNumbers } from './sorted-numbers.js';

/** What extents are told of, and where the disk ends. */
interface Range {
  readonly offset: number;
  readonly length: number;
  readonly size: number;
}

/**
 * The extents of a memory disk, one by one. Caller: memory.ts. Calls:
 * sorted-numbers.ts. Hot: written out, since V8 inlines no generator.
 */
export class MemoryExtents implements IterableIterator<Extent, undefined> {
  private position: number;
  private readonly end: number;
  private readonly size: number;
  private readonly chunkBytes: number;
  private readonly indexes: SortedNumbers;

  /** `indexes` are those of the chunks there are. */
  constructor(indexes: SortedNumbers, chunkBytes: number, { offset, length, size }: Range) {
    this.position = offset;
    this.end = offset + length;
    this.size = size;
    this.chunkBytes = chunkBytes;
    this.indexes = indexes;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Extent, undefined> {
    const { position, chunkBytes } = this;
    if (position >= this.end) return { done: true, value: undefined };
    const index = Math.floor(position / chunkBytes);
    const next = this.indexes.next(index) ?? Infinity;
    const hole = next > index;
    this.position = Math.min((hole ? next : index + 1) * chunkBytes, this.size);
    return { done: false, value: { length: this.position - position, hole, zero: hole } };
  }
}
