/**
 * Reading a regular file or a block device. Cached data is read at once,
 * without waiting; everything that may wait for a disk is done on libuv's pool.
 * Owns: the descriptor.
 */
import { fstat } from 'node:fs';
import { constants } from 'node:os';
import { promisify } from 'node:util';
import { NbdError } from '../../errors.js';
import type { NativeAddon } from '../../native/addon.js';
import type { Backend, Bytes, Extent, ExtentsOptions, Slice } from '../backend.js';
import { closeDescriptor, readFully } from './descriptor.js';
import { allData, fileExtents } from './file-extents.js';
import type { MaybePromise } from '../maybe-promise.js';
import { SerialQueue } from '../serial-queue.js';
import { Slab } from './slab-allocator.js';
import type { OpenFile } from './range-clearer.js';
import { zeros } from '../zeros.js';

/** The part of the addon that files use; without a member there is a fallback. */
export type FileNative = Partial<
  Pick<NativeAddon, 'preadNoWait' | 'fallocate' | 'findData' | 'blockDeviceSize'>
>;

/**
 * Reading cached data at once is quicker than a trip to the pool, but keeps the
 * event loop busy: 40 µs for this many bytes. From 1 MiB on the pool is as quick.
 */
const cachedReadBytesMax = 2 ** 18;

/**
 * Bytes that one CACHE reads: "it is unspecified [...] whether there is a limit
 * on how much can be cached at once" (NBD_CMD_CACHE).
 */
export const cacheBytesMax = 64 * 2 ** 20;

/** For a shorter range a look whether it is a hole costs more than reading it. */
const soughtBytesMin = 2 ** 16;

const statsOf = promisify(fstat);

/** What CACHE has read, which nobody looks at: one for all files. */
const scratch = Buffer.allocUnsafeSlow(2 ** 18);

/** Answers of preadNoWait that say it never works here. */
const noCachedReads: ReadonlySet<number> = new Set(
  [constants.errno.EOPNOTSUPP, constants.errno.ENOSYS].map((number) => -number),
);

/**
 * Replies are read into this. Nobody says when a reply was sent, so its memory
 * cannot be used again. One slab serves all files.
 */
const replyMemory = new Slab(2 ** 18);

/** A file that can be read. `openFile` makes it. */
export class ReadableFile implements Backend {
  readonly multiConn = true;
  protected readonly fd: number;
  protected readonly blockDevice: boolean;
  protected sizeNow: number;
  private readonly preadNoWait: NativeAddon['preadNoWait'] | undefined;
  private readonly findData: NativeAddon['findData'] | undefined;
  private readsCached: boolean;
  private closing = false;
  private inProgress = 0;
  private whenIdle: (() => void) | undefined;
  /** Reads for CACHE. */
  private readonly caching = new SerialQueue();

  /** `file.fd` is this backend's from now on. */
  constructor(file: OpenFile, native: FileNative) {
    this.sizeNow = file.size;
    this.fd = file.fd;
    this.blockDevice = file.blockDevice;
    this.preadNoWait = native.preadNoWait;
    // What a block device has no storage for, it does not tell.
    this.findData = file.blockDevice ? undefined : native.findData;
    this.readsCached = native.preadNoWait !== undefined;
  }

  get size(): number {
    return this.sizeNow;
  }

  /** A regular file may grow; one that shrinks fails the reads past its end. */
  async measure(): Promise<void> {
    if (this.blockDevice) return;
    this.requireOpen();
    const { size } = await this.track(statsOf(this.fd));
    if (Number.isSafeInteger(size)) this.sizeNow = Math.max(this.sizeNow, size);
  }

  read(offset: number, length: number): MaybePromise<Bytes> {
    this.requireOpen();
    if (length > cachedReadBytesMax) return this.track(this.readWaiting(offset, length));
    const bytes = replyMemory.take(length);
    const count = this.readCached(bytes, 0, length, offset);
    if (count === length) return bytes;
    // A hole is not cached, and is soon known to be one.
    if (count === 0 && length >= soughtBytesMin) {
      return this.track(this.readWaiting(offset, length, bytes));
    }
    return this.track(this.readRest(bytes, offset, count));
  }

  readSlice(offset: number, length: number, slice: Slice): boolean {
    this.requireOpen();
    if (length > replyMemory.pieceBytesMax || !this.readsCached) return false;
    const start = replyMemory.place(length);
    const { memory } = replyMemory;
    if (this.readCached(memory, start, length, offset) < length) return false;
    replyMemory.keep(length);
    slice.memory = memory;
    slice.start = start;
    return true;
  }

  /**
   * Reads the range and forgets it, which leaves it in the system's cache: this
   * is only a hint, so not more than `cacheBytesMax` of it.
   */
  cache(offset: number, length: number): Promise<void> {
    return this.track(this.warm(offset, Math.min(length, cacheBytesMax)));
  }

  extents(
    offset: number,
    length: number,
    { one }: ExtentsOptions,
  ): MaybePromise<readonly Extent[]> {
    this.requireOpen();
    if (this.findData === undefined) return allData(length);
    const { fd, size } = this;
    return this.track(fileExtents(this.findData, fd, { offset, length, size, one }));
  }

  /** Waits for what is in progress; long zeroing and caching are cut short. */
  async close(): Promise<void> {
    this.requireOpen();
    this.closing = true;
    if (this.inProgress > 0) {
      await new Promise<void>((resolve) => {
        this.whenIdle = resolve;
      });
    }
    await closeDescriptor(this.fd);
  }

  /** The descriptor stays open until `work` is done. */
  protected async track<T>(work: Promise<T>): Promise<T> {
    this.inProgress++;
    try {
      return await work;
    } finally {
      this.inProgress--;
      if (this.inProgress === 0) this.whenIdle?.();
    }
  }

  /** A closed descriptor's number may already be another file's. */
  protected requireOpen(): void {
    if (this.closing) throw new NbdError('ESHUTDOWN', 'The disk is closed. Open it again.');
  }

  /** Bytes that were cached and are in `memory` from `start` on now. */
  private readCached(memory: Uint8Array, start: number, length: number, offset: number): number {
    if (this.preadNoWait === undefined || !this.readsCached) return 0;
    const count = this.preadNoWait(this.fd, memory, start, length, offset);
    if (count >= 0) return count;
    if (noCachedReads.has(count)) this.readsCached = false;
    // Any other error is met again, and reported, on the pool.
    return 0;
  }

  /** On the pool: a range that is one hole is not read, and goes out as such. */
  private async readWaiting(
    offset: number,
    length: number,
    memory?: Uint8Array,
  ): Promise<Uint8Array | readonly Uint8Array[]> {
    if (this.findData !== undefined) {
      const found = new Float64Array(2);
      const count = await this.findData(this.fd, offset, offset + length, found);
      // Where it failed, reading says what is wrong.
      if (count > 0 && (found[0] ?? 0) >= offset + length) return zeros(length);
    }
    return this.readRest(memory ?? replyMemory.take(length), offset, 0);
  }

  private async readRest(bytes: Uint8Array, offset: number, from: number): Promise<Uint8Array> {
    await readFully(this.fd, bytes, offset, from);
    return bytes;
  }

  /**
   * A piece at a time for all requests together, since reads come first; and
   * each request asks for its next piece behind those that the others wait for.
   */
  private async warm(offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += scratch.length) {
      const piece = scratch.subarray(0, Math.min(scratch.length, length - done));
      await this.caching.run(async () => {
        this.requireOpen();
        await readFully(this.fd, piece, offset + done);
      });
    }
  }
}
