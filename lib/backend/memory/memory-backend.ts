import { NbdError } from '../../errors.js';
import type { Backend, Bytes, Extent, Slice, WriteZeroesOptions } from '../backend.js';
import type { MaybePromise } from '../maybe-promise.js';
import { MemoryExtents } from './memory-extents.js';
import { ChunkTable } from './chunk-table.js';
import { memoryBytesMax } from '../../memory/pages.js';
import { SlicedWork, type Step } from './sliced-work.js';
import { checkDiskSize } from '../size.js';
import { pushZeros, zeroPage, zeroPageBytes, zeroPiece } from '../zeros.js';

const chunkBytesDefault = 2 ** 22;
/** Fewer chunks to look up, where each is committed in huge pages anyway. */
const chunkBytesHuge = 2 ** 24;
/**
 * A disk of up to this share of the machine's memory uses huge pages. A larger
 * disk may be sparse: huge pages would commit far more than was written.
 */
const hugePagesShareMax = 1 / 16;
const chunkBytesMin = 2 ** 12;
const chunkBytesMax = 2 ** 26;

/** The entries of so many chunks take 200 MiB of the JavaScript heap, which must not run out. */
const chunksMaxDefault = 2 ** 20;

/** Zeroed at once: some 0.1 ms, or 1 ms where the kernel has to commit a huge page. */
const pieceBytesMax = 2 ** 19;
/** A chunk that is allocated or dropped takes as long as so many bytes that are zeroed. */
const chunkCostBytes = 2 ** 16;

/** For all memory disks: they share the event loop. */
const zeroing = new SlicedWork();

/** Options of `MemoryBackend`. */
export interface MemoryOptions {
  /**
   * Bytes of a chunk. The disk allocates memory in chunks, when they are first
   * written to: a power of two from 4 KiB to 64 MiB. The default is 4 MiB, and
   * 16 MiB for a disk of at most a sixteenth of the machine's memory. The kernel
   * commits a chunk page by page, so it costs what is written to it.
   */
  readonly chunkBytes?: number;
  /**
   * The most chunks that the disk may have: an integer of at least 1. The
   * default is 2^20. Each takes some 200 bytes of the JavaScript heap, and a heap
   * that is exhausted ends the process.
   */
  readonly chunksMax?: number;
}

/**
 * A disk of `size` bytes in memory, at first all zeros. What was never written
 * takes no memory, so `size` may be up to 2^53 − 1. Where memory runs out, the
 * request that needs it fails with ENOMEM. Zeroing without holes fails with ENOSPC
 * where the range is larger than the memory of the machine.
 *
 * @throws NbdError `NBDCORK_BAD_SIZE` or `NBDCORK_BAD_CHUNK_SIZE`.
 */
export class MemoryBackend implements Backend {
  readonly multiConn = true;
  readonly fua = true;
  readonly payloadLifetime = 'call';
  readonly readsInPlace = true;
  private readonly chunkBytes: number;
  /** Exact, since chunks are powers of two. Multiplication is faster than division. */
  private readonly chunksPerByte: number;
  private readonly chunks: ChunkTable;
  private sizeNow: number;

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
        `A memory disk cannot have a limit of ${chunksMax} chunks. Give an integer of at least 1.`,
      );
    }
    this.sizeNow = size;
    this.chunkBytes = chunkBytes;
    this.chunksPerByte = 1 / chunkBytes;
    this.chunks = new ChunkTable(chunksMax, hugePages);
  }

  get size(): number {
    return this.sizeNow;
  }

  /** Bytes of memory that the chunks of the disk take. */
  get allocatedBytes(): number {
    return this.chunks.allocatedBytes;
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

  // The usual read, inside one chunk, is a lookup: no promise, no copy, no allocation.
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
    const chunk = this.chunks.get(index) ?? this.addChunk(index);
    // Received in place, into the result of writeTarget. `buffer` is compared last: it is slow.
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
        chunk = this.addChunk(index);
      } catch {
        // The payload must be received anyway; the error occurs again in write().
        return undefined;
      }
    }
    return viewOf(chunk, at, length);
  }

  flush(): void {
    // No storage is more stable than the memory.
  }

  trim(offset: number, length: number): MaybePromise<void> {
    return zeroing.run(this.dropping(offset, length), length);
  }

  writeZeroes(offset: number, length: number, options: WriteZeroesOptions): MaybePromise<void> {
    // Never slower than a write, so `fast` changes nothing.
    if (!options.noHole) return zeroing.run(this.dropping(offset, length), length);
    if (length > memoryBytesMax()) throw noSpace(length);
    return zeroing.run(this.provisioning(offset, length), length);
  }

  /** @throws NbdError `NBDCORK_BAD_SIZE`, or `ENOMEM` where there is no memory for a longer last chunk. */
  resize(size: number): void {
    checkDiskSize(size);
    if (size < this.sizeNow) completeAtOnce(this.dropping(size, this.sizeNow - size));
    else this.lengthenLastChunk(size);
    this.sizeNow = size;
  }

  cache(): void {
    // The disk is in memory already.
  }

  /** Chunks are data. What lies between them is holes. */
  extents(offset: number, length: number): Iterable<Extent> {
    const { chunks, chunkBytes, sizeNow: size } = this;
    return new MemoryExtents(chunks.numbers, chunkBytes, { offset, length, size });
  }

  close(): void {
    this.chunks.close();
  }

  /** The last chunk ends where the disk does. */
  private lengthenLastChunk(size: number): void {
    const index = Math.floor(this.sizeNow / this.chunkBytes);
    const last = this.chunks.get(index);
    // A payload may have been received past the end since the disk shrank.
    last?.fill(0, this.sizeNow - index * this.chunkBytes);
    const needed = Math.min(this.chunkBytes, size - index * this.chunkBytes);
    // A chunk from when the disk was longer may be long enough.
    if (last === undefined || last.length >= needed) return;
    this.chunks.lengthen(index, last, needed);
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

  private addChunk(index: number): Uint8Array {
    const { chunkBytes } = this;
    return this.chunks.add(index, Math.min(chunkBytes, this.sizeNow - index * chunkBytes));
  }

  /** Zeros the range, and frees the memory of chunks that lie inside it. */
  private dropping(offset: number, length: number): Step {
    const { chunkBytes, chunks } = this;
    let position = offset;
    return () => {
      const end = this.endOf(offset, length);
      if (position >= end) return 0;
      const index = Math.floor(position / chunkBytes);
      const next = chunks.numbers.next(index) ?? Infinity;
      if (next > index) {
        position = Math.min(next * chunkBytes, end);
        return 1;
      }
      const start = index * chunkBytes;
      // The last chunk ends where the disk does.
      const chunkEnd = Math.min(start + chunkBytes, this.sizeNow);
      if (position === start && end >= chunkEnd) {
        chunks.drop(index);
        position = chunkEnd;
        return chunkCostBytes;
      }
      const count = this.clearPiece(index, position - start, end - position);
      position += count;
      return count;
    };
  }

  /**
   * Zeros the range and allocates all of it. "NBD_CMD_WRITE_ZEROES": with
   * NBD_CMD_FLAG_NO_HOLE "the area MUST be fully provisioned".
   */
  private provisioning(offset: number, length: number): Step {
    const { chunkBytes, chunks } = this;
    let position = offset;
    return () => {
      const end = this.endOf(offset, length);
      if (position >= end) return 0;
      const index = Math.floor(position / chunkBytes);
      const at = position - index * chunkBytes;
      if (chunks.has(index)) {
        const count = this.clearPiece(index, at, end - position);
        position += count;
        return count;
      }
      this.addChunk(index);
      position += chunkBytes - at;
      return chunkCostBytes;
    };
  }

  /** The disk may have shrunk while the work waited. */
  private endOf(offset: number, length: number): number {
    return Math.min(offset + length, this.sizeNow);
  }

  /** Zeros the beginning of the range, up to a border of pieces: no block is zeroed in part. */
  private clearPiece(index: number, at: number, length: number): number {
    const toBorder = pieceBytesMax - (at % pieceBytesMax);
    const count = Math.min(length, toBorder, this.chunkBytes - at);
    this.chunks.get(index)?.fill(0, at, at + count);
    return count;
  }
}

function completeAtOnce(step: Step): void {
  while (step() > 0);
}

/** The error of zeroing without holes where there cannot be so much memory. */
export function noSpace(length: number): NbdError {
  return new NbdError(
    'ENOSPC',
    `Cannot allocate ${length} bytes of zeros: the machine has less memory. Allow a hole.`,
  );
}

function viewOf(chunk: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset + at, length);
}

function isChunkSize(bytes: number): boolean {
  const isPowerOfTwo = Number.isInteger(bytes) && (bytes & (bytes - 1)) === 0;
  return isPowerOfTwo && bytes >= chunkBytesMin && bytes <= chunkBytesMax;
}
