/**
 * A disk in memory. Hot: a million reads a second go through `readSlice`, so
 * the usual one, inside one chunk, is a lookup, with no promise, no copy and no
 * allocation. Owns: the chunks. They leave in replies as they are, and a reply
 * keeps its chunk alive where that is dropped meanwhile.
 */
import { setImmediate } from 'node:timers/promises';
import { NbdError } from '../../errors.js';
import type { Backend, Bytes, Extent, Slice, WriteZeroesOptions } from '../backend.js';
import type { MaybePromise } from '../maybe-promise.js';
import { MemoryExtents } from './memory-extents.js';
import { allocatePages, memoryBytesMax } from './pages.js';
import { SerialQueue } from '../serial-queue.js';
import { checkDiskSize } from '../size.js';
import { SortedNumbers } from './sorted-numbers.js';
import { pushZeros, zeroPage, zeroPageBytes, zeroPiece } from '../zeros.js';

const chunkBytesDefault = 2 ** 22;
/** Fewer chunks to tell apart, where each is committed in huge pages anyway. */
const chunkBytesHuge = 2 ** 24;
/**
 * A disk of up to this share of the machine's memory gets huge pages. A larger
 * one may be sparse, and there they would commit far more than was written.
 */
const hugePagesShareMax = 1 / 16;
const chunkBytesMin = 2 ** 12;
const chunkBytesMax = 2 ** 26;

/** The bookkeeping of so many chunks takes 200 MiB of JavaScript's heap, which must not run out. */
const chunksMaxDefault = 2 ** 20;

/** Bytes of chunks that are zeroed in one turn of the event loop. */
const zeroedBytesMax = 2 ** 24;

/** Options of `MemoryBackend`. */
export interface MemoryOptions {
  /**
   * Memory is taken in pieces of this many bytes when first written to: a
   * power of two from 4 KiB to 64 MiB. Unless given: 4 MiB, and 16 MiB for a
   * disk of at most a sixteenth of the machine's memory. The kernel commits
   * a chunk page by page, so it costs what is written to it.
   */
  readonly chunkBytes?: number;
  /**
   * Chunks that the disk may have: a whole number of at least 1, and 2^20
   * unless given. Each costs JavaScript's own heap some 200 bytes, however
   * little is written to it, and a heap that is exhausted ends the process.
   */
  readonly chunksMax?: number;
}

/**
 * A disk of `size` bytes in memory, all zeros. What was never written takes no
 * memory, so `size` may be anything up to 2^53 − 1. Where memory runs out, the
 * request that wanted it fails with ENOMEM; one for zeros that are to have memory
 * and are more than there can be, with ENOSPC.
 *
 * @throws NbdError `NBDCORK_BAD_SIZE` or `NBDCORK_BAD_CHUNK_SIZE`.
 */
export class MemoryBackend implements Backend {
  readonly multiConn = true;
  readonly fua = true;
  readonly consumesWrites = true;
  private readonly chunkBytes: number;
  private readonly chunksMax: number;
  /** Exact, since chunks are powers of two; and quicker to multiply with than to divide by. */
  private readonly chunksPerByte: number;
  private readonly chunks = new Map<number, Uint8Array>();
  /** The keys of `chunks`. */
  private readonly indexes = new SortedNumbers();
  private readonly hugePages: boolean;
  private allocated = 0;
  private closed = false;
  private sizeNow: number;
  /** Slices of long WRITE_ZEROES requests. */
  private readonly provisioning = new SerialQueue();

  constructor(size: number, options: MemoryOptions = {}) {
    const hugePages = size <= memoryBytesMax() * hugePagesShareMax;
    const {
      chunkBytes = hugePages ? chunkBytesHuge : chunkBytesDefault,
      chunksMax = chunksMaxDefault,
    } = options;
    checkDiskSize(size);
    if (!isChunkSize(chunkBytes)) {
      throw new NbdError(
        'NBDCORK_BAD_CHUNK_SIZE',
        `A memory disk cannot have chunks of ${chunkBytes} bytes. ` +
          'Give a power of two from 4096 to 67108864.',
      );
    }
    if (!Number.isSafeInteger(chunksMax) || chunksMax < 1) {
      throw new NbdError(
        'NBDCORK_BAD_CHUNK_SIZE',
        `A memory disk cannot have at most ${chunksMax} chunks. Give a whole number of at least 1.`,
      );
    }
    this.sizeNow = size;
    this.chunkBytes = chunkBytes;
    this.chunksPerByte = 1 / chunkBytes;
    this.chunksMax = chunksMax;
    this.hugePages = hugePages;
  }

  get size(): number {
    return this.sizeNow;
  }

  /** Bytes of memory that the disk's chunks take. */
  get allocatedBytes(): number {
    return this.allocated;
  }

  read(offset: number, length: number): Bytes {
    const { chunkBytes } = this;
    const index = Math.floor(offset * this.chunksPerByte);
    const at = offset - index * chunkBytes;
    if (at + length > chunkBytes) return this.readAcross(offset, length);
    const chunk = this.chunks.get(index);
    if (chunk !== undefined) return viewOf(chunk, at, length);
    return length <= zeroPageBytes ? zeroPiece(length) : this.readAcross(offset, length);
  }

  readSlice(offset: number, length: number, slice: Slice): boolean {
    const { chunkBytes } = this;
    const index = Math.floor(offset * this.chunksPerByte);
    const at = offset - index * chunkBytes;
    if (at + length > chunkBytes) return false;
    const chunk = this.chunks.get(index);
    if (chunk !== undefined) {
      slice.memory = chunk;
      slice.start = at;
      return true;
    }
    if (length > zeroPageBytes) return false;
    slice.memory = zeroPage;
    slice.start = 0;
    return true;
  }

  write(offset: number, data: Uint8Array): void {
    const { chunkBytes } = this;
    const index = Math.floor(offset * this.chunksPerByte);
    const at = offset - index * chunkBytes;
    if (at + data.length > chunkBytes) {
      this.writeAcross(offset, data);
      return;
    }
    const chunk = this.chunks.get(index) ?? this.makeChunk(index);
    // Received in place, through writeTarget. Asking for a buffer is what takes time.
    if (data.byteOffset === chunk.byteOffset + at && data.buffer === chunk.buffer) return;
    chunk.set(data, at);
  }

  writeTarget(offset: number, length: number): Uint8Array | undefined {
    const { chunkBytes } = this;
    const index = Math.floor(offset * this.chunksPerByte);
    const at = offset - index * chunkBytes;
    if (at + length > chunkBytes) return undefined;
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      try {
        chunk = this.makeChunk(index);
      } catch {
        // The payload must be received all the same; write() meets the error again.
        return undefined;
      }
    }
    return viewOf(chunk, at, length);
  }

  flush(): void {
    // Memory has no storage behind it that could be more stable.
  }

  trim(offset: number, length: number): void {
    this.drop(offset, length);
  }

  writeZeroes(offset: number, length: number, options: WriteZeroesOptions): MaybePromise<void> {
    // Never slower than a write, so `fast` asks for nothing.
    if (!options.noHole) this.drop(offset, length);
    else if (length > memoryBytesMax()) throw tooMuch(length);
    else if (length <= zeroedBytesMax) this.provision(offset, length);
    else return this.provisionSlices(offset, length);
    return undefined;
  }

  /** @throws NbdError `NBDCORK_BAD_SIZE`, or `ENOMEM` where the last chunk cannot grow. */
  resize(size: number): void {
    checkDiskSize(size);
    if (size < this.sizeNow) this.drop(size, this.sizeNow - size);
    else this.lengthenLastChunk(size);
    this.sizeNow = size;
  }

  cache(): void {
    // It is in memory.
  }

  /** Chunks are data and what lies between them is holes, however much of that there is. */
  extents(offset: number, length: number): Iterable<Extent> {
    return new MemoryExtents(this.indexes, this.chunkBytes, { offset, length, size: this.sizeNow });
  }

  close(): void {
    this.closed = true;
    this.chunks.clear();
    this.indexes.clear();
    this.allocated = 0;
  }

  /** The last chunk is only as long as the disk needs it to be. */
  private lengthenLastChunk(size: number): void {
    const index = Math.floor(this.sizeNow / this.chunkBytes);
    const last = this.chunks.get(index);
    // A payload may have arrived behind the end since the disk shrank.
    last?.fill(0, this.sizeNow - index * this.chunkBytes);
    const needed = Math.min(this.chunkBytes, size - index * this.chunkBytes);
    // One that a longer disk has left is long enough.
    if (last === undefined || last.length >= needed) return;
    this.dropChunk(index);
    try {
      this.makeChunk(index, size).set(last);
    } catch (error) {
      this.chunks.set(index, last);
      this.indexes.add(index);
      this.allocated += last.length;
      throw error;
    }
  }

  private readAcross(offset: number, length: number): Uint8Array[] {
    const { chunkBytes } = this;
    const pieces: Uint8Array[] = [];
    const end = offset + length;
    for (let position = offset; position < end;) {
      const index = Math.floor(position / chunkBytes);
      const at = position - index * chunkBytes;
      const count = Math.min(end - position, chunkBytes - at);
      const chunk = this.chunks.get(index);
      if (chunk === undefined) pushZeros(pieces, count);
      else pieces.push(viewOf(chunk, at, count));
      position += count;
    }
    return pieces;
  }

  private writeAcross(offset: number, data: Uint8Array): void {
    const { chunkBytes } = this;
    for (let done = 0; done < data.length;) {
      const count = Math.min(data.length - done, chunkBytes - ((offset + done) % chunkBytes));
      this.write(offset + done, data.subarray(done, done + count));
      done += count;
    }
  }

  private makeChunk(index: number, size = this.sizeNow): Uint8Array {
    if (this.closed) throw new NbdError('ESHUTDOWN', 'The memory disk is closed.');
    if (this.chunks.size >= this.chunksMax) {
      throw new NbdError(
        'ENOMEM',
        `The memory disk has all of its ${this.chunksMax} chunks of ${this.chunkBytes} bytes. ` +
          'Trim it, or make it with larger chunks or more of them.',
      );
    }
    const length = Math.min(this.chunkBytes, size - index * this.chunkBytes);
    let chunk: Uint8Array;
    try {
      chunk = allocatePages(length, this.hugePages);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new NbdError(
        'ENOMEM',
        `There is no memory for ${length} more bytes of the memory disk, which has ` +
          `${this.allocated}. Trim it, or give the process more memory.`,
        cause,
      );
    }
    this.chunks.set(index, chunk);
    this.indexes.add(index);
    this.allocated += length;
    return chunk;
  }

  /** Zeros, giving back the memory of chunks that are covered wholly. */
  private drop(offset: number, length: number): void {
    const { chunkBytes } = this;
    const end = offset + length;
    const firstWhole = Math.ceil(offset / chunkBytes);
    // The last chunk ends where the disk does.
    const endWhole = end === this.size ? Math.ceil(end / chunkBytes) : Math.floor(end / chunkBytes);
    if (firstWhole > endWhole) {
      this.clear(endWhole, offset - endWhole * chunkBytes, length);
      return;
    }
    const head = Math.min(firstWhole * chunkBytes, end) - offset;
    if (head > 0) this.clear(firstWhole - 1, chunkBytes - (firstWhole * chunkBytes - offset), head);
    const tail = end - endWhole * chunkBytes;
    if (tail > 0) this.clear(endWhole, 0, tail);
    this.dropChunks(firstWhole, endWhole);
  }

  /** Drops the chunks from number `first` to before number `end`. */
  private dropChunks(first: number, end: number): void {
    let index = this.indexes.next(first);
    while (index !== undefined && index < end) {
      this.dropChunk(index);
      index = this.indexes.next(index);
    }
  }

  private dropChunk(index: number): void {
    const chunk = this.chunks.get(index);
    if (chunk === undefined) return;
    this.allocated -= chunk.length;
    this.chunks.delete(index);
    this.indexes.delete(index);
  }

  private clear(index: number, at: number, length: number): void {
    this.chunks.get(index)?.fill(0, at, at + length);
  }

  /**
   * Zeros with memory behind them. "NBD_CMD_WRITE_ZEROES": with
   * NBD_CMD_FLAG_NO_HOLE "the area MUST be fully provisioned".
   */
  private provision(offset: number, length: number): void {
    const { chunkBytes } = this;
    const end = offset + length;
    for (let position = offset; position < end;) {
      const index = Math.floor(position / chunkBytes);
      const at = position - index * chunkBytes;
      const count = Math.min(end - position, chunkBytes - at);
      if (this.chunks.has(index)) this.clear(index, at, count);
      else this.makeChunk(index);
      position += count;
    }
  }

  /** A slice in each round of the event loop, for all requests together. */
  private async provisionSlices(offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += zeroedBytesMax) {
      await this.provisioning.run(async () => {
        await setImmediate();
        // The disk may have shrunk meanwhile.
        const end = Math.min(offset + length, this.sizeNow);
        this.provision(offset + done, Math.min(zeroedBytesMax, end - (offset + done)));
      });
    }
  }
}

/** "The area MUST be fully provisioned" is no promise to make of what can never be in memory. */
function tooMuch(length: number): NbdError {
  return new NbdError(
    'ENOSPC',
    `This machine has no memory for ${length} bytes that are to be no hole. Zero less at a time.`,
  );
}

function viewOf(chunk: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset + at, length);
}

function isChunkSize(bytes: number): boolean {
  const isPowerOfTwo = Number.isInteger(bytes) && (bytes & (bytes - 1)) === 0;
  return isPowerOfTwo && bytes >= chunkBytesMin && bytes <= chunkBytesMax;
}
