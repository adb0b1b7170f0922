import { codeOf, NbdError } from '../../errors.js';
import type { NativeAddon } from '../../native/addon.js';
import type { Backend, Bytes, Extent, ExtentsOptions, Slice, ThreadSource } from '../backend.js';
import { closeDescriptor, type OpenFile } from './io/descriptor.js';
import { failures } from './io/errors.js';
import { allData, fileExtents } from './file-extents.js';
import { CacheDropper } from './io/cache-dropper.js';
import { openFileIo, type FileIo, type FileNative, type FindData } from './io/file-io.js';
import { InProgress } from './io/in-progress.js';
import { MappedFile, mappingOf, type MappingNative } from './mapped-file.js';
import type { MaybePromise } from '../maybe-promise.js';
import { PartialError } from '../partial-error.js';
import { SerialQueue } from '../serial-queue.js';
import { SlabAllocator } from './slab-allocator.js';
import { payloadPool } from '../../memory/buffer-pool.js';
import { zeros } from '../zeros.js';

/**
 * Reading cached data at once is faster than a round trip to another thread, but
 * blocks the event loop: 40 µs for this many bytes. From 1 MiB on another thread is as fast.
 */
const cachedReadBytesMax = 2 ** 18;

/**
 * Bytes that one CACHE reads: "it is unspecified [...] whether there is a limit
 * on how much can be cached at once" (NBD_CMD_CACHE).
 */
export const cacheBytesMax = 64 * 2 ** 20;

/** For a shorter range, finding out whether it is a hole costs more than reading it. */
const holeSearchBytesMin = 2 ** 16;

/** A file that has grown by this factor is mapped anew. */
const growthMin = 1.25;

/** Memory into which CACHE reads what is not used further, shared by all files. */
const scratch = Buffer.allocUnsafeSlow(2 ** 18);

/** Results of preadNoWait where the system or the file system lacks it. */
const noCachedReads = failures('EOPNOTSUPP', 'ENOSYS');

/**
 * Errors of a descriptor whose file or device is gone: a file of a network file
 * system that was replaced, a FUSE file system that has ended, a device that was removed.
 */
const staleCodes: ReadonlySet<string | undefined> = new Set([
  'ESTALE',
  'ENOTCONN',
  'ENODEV',
  'ENXIO',
]);

/** Memory of short replies, shared by all files. */
const replyMemory = new SlabAllocator(2 ** 18);

/**
 * A disk in a regular file or on a block device that can be read; `openFile`
 * creates it. Cached data is read at once; whatever may wait for a device is
 * done on threads of the disk's own.
 */
export class ReadableFile implements Backend {
  readonly multiConn = true;
  protected readonly fd: number;
  protected readonly blockDevice: boolean;
  protected sizeNow: number;
  private readonly preadNoWait: NativeAddon['preadNoWait'] | undefined;
  /** Undefined where files cannot be mapped. */
  private mappingNative: MappingNative | undefined;
  private mapped: MappedFile | undefined;
  /** Of a file that has grown since: replies may still be sent from them. */
  private readonly mappedBefore: MappedFile[] = [];
  protected readonly io: FileIo;
  private readonly findData: FindData | undefined;
  private readsCached: boolean;
  /** The file or device is gone, whatever is there now. */
  private stale = false;
  private closing = false;
  protected readonly inProgress = new InProgress((error) => {
    this.noteFailure(error);
  });
  /** Undefined where what was transferred may stay in the system's cache. */
  protected readonly dropper: CacheDropper | undefined;
  private readonly cacheFd: number | undefined;
  /** Offsets and lengths are multiples of it; more than one only for direct I/O. */
  protected readonly blockBytes: number;
  private readonly direct: boolean;
  /** Reads for CACHE. */
  private readonly caching = new SerialQueue();

  /** Takes ownership of `file.fd`. */
  constructor(file: OpenFile, native: FileNative) {
    this.sizeNow = file.size;
    this.fd = file.fd;
    this.io = openFileIo(file, native, this.inProgress);
    this.blockDevice = file.blockDevice;
    this.direct = file.directBytes !== undefined;
    this.blockBytes = file.directBytes ?? 1;
    this.cacheFd = file.cacheFd;
    this.dropper = this.makeDropper(file);
    // Mapped pages do not leave the cache, and direct reads do not use it.
    const mappable = !this.direct && this.dropper === undefined;
    this.mappingNative = mappable ? mappingOf(native) : undefined;
    // Direct reads always wait for the device.
    this.preadNoWait = this.direct ? undefined : native.preadNoWait;
    // Block devices do not report which ranges they have allocated.
    this.findData = file.blockDevice ? undefined : this.io.findData;
    this.readsCached = this.preadNoWait !== undefined;
  }

  get size(): number {
    return this.sizeNow;
  }

  get mustReopen(): boolean {
    return this.stale;
  }

  /** The file itself, whatever has its path by now. */
  get threadSource(): ThreadSource {
    const { fd, direct, cacheFd } = this;
    const readOnly = !('write' in this);
    return { kind: 'file', fd, readOnly, direct, dropCache: cacheFd !== undefined };
  }

  /** A file or a device may grow. One that shrinks fails the reads past its end. */
  async measure(): Promise<void> {
    this.requireOpen();
    const size = await this.track(this.io.size());
    if (!Number.isSafeInteger(size)) return;
    this.sizeNow = Math.max(this.sizeNow, size - (size % this.blockBytes));
  }

  read(offset: number, length: number): MaybePromise<Bytes> {
    this.requireOpen();
    const bytes = this.readBytes(offset, length);
    return this.dropper === undefined ? bytes : this.dropper.afterRead(bytes, offset, length);
  }

  private readBytes(offset: number, length: number): MaybePromise<Bytes> {
    if (length > cachedReadBytesMax) return this.track(this.readFromDevice(offset, length));
    const bytes = payloadPool.take(length);
    const count = this.readCached(bytes, 0, length, offset);
    if (count === length) return bytes;
    // A hole is not cached, and finding out that it is one is fast.
    if (count === 0 && length >= holeSearchBytesMin) {
      return this.track(this.readFromDevice(offset, length, bytes));
    }
    return this.io.read(bytes, offset, count);
  }

  releaseRead(bytes: Bytes): void {
    if (bytes instanceof Uint8Array) payloadPool.release(bytes);
  }

  readSlice(offset: number, length: number, slice: Slice): boolean {
    this.requireOpen();
    slice.mapped = undefined;
    if (slice.acceptsMapping === true && this.isMapped(offset, length)) {
      slice.mapped = this.mapped;
      slice.start = offset;
      return true;
    }
    if (length > replyMemory.pieceBytesMax || !this.readsCached) return false;
    const start = replyMemory.reserve(length);
    const { slab } = replyMemory;
    if (this.readCached(slab, start, length, offset) < length) return false;
    replyMemory.commit(length);
    this.dropper?.used(offset, length);
    slice.memory = slab;
    slice.start = start;
    return true;
  }

  /**
   * Reads up to `cacheBytesMax` of the range into the system's cache. CACHE is
   * a hint, so the rest may be left out. Direct reads do not use the cache.
   */
  cache(offset: number, length: number): Promise<void> {
    if (this.direct) return Promise.resolve();
    return this.track(this.fillCache(offset, Math.min(length, cacheBytesMax)));
  }

  extents(
    offset: number,
    length: number,
    { one }: ExtentsOptions,
  ): MaybePromise<readonly Extent[]> {
    this.requireOpen();
    if (this.findData === undefined) return allData(length);
    const { fd, size, blockBytes } = this;
    return this.track(fileExtents(this.findData, fd, { offset, length, size, one, blockBytes }));
  }

  /** Waits for requests in progress. Long zeroing and caching fail early. */
  async close(): Promise<void> {
    this.requireOpen();
    this.closing = true;
    await this.inProgress.whenIdle();
    this.mapped?.close();
    for (const mapped of this.mappedBefore) mapped.close();
    await this.dropper?.close();
    const { cacheFd } = this;
    if (cacheFd !== undefined) await Promise.allSettled([closeDescriptor(cacheFd)]);
    await this.io.close();
  }

  /** Whether the range can be sent from the mapping, which is made for the first client that can. */
  private isMapped(offset: number, length: number): boolean {
    const { mapped, mappingNative, sizeNow } = this;
    if (mapped?.isCached(offset, length) === true) return true;
    if (mappingNative === undefined) return false;
    if (mapped !== undefined) {
      // Seldom, since what was mapped before stays mapped until the disk is closed.
      if (offset + length <= mapped.length || sizeNow < mapped.length * growthMin) return false;
      this.mappedBefore.push(mapped);
    }
    this.mapped = MappedFile.open(mappingNative, this.fd, sizeNow, this.io);
    if (this.mapped === undefined) this.mappingNative = undefined;
    return this.mapped?.isCached(offset, length) === true;
  }

  private makeDropper({ cacheFd }: OpenFile): CacheDropper | undefined {
    if (cacheFd === undefined) return undefined;
    return new CacheDropper((position, length) =>
      this.io.uncache(cacheFd, position, length, 'write' in this),
    );
  }

  /** Keeps the descriptor open until `work` has settled. */
  protected track<T>(work: Promise<T>): Promise<T> {
    return this.inProgress.track(work);
  }

  private noteFailure(error: unknown): void {
    if (staleCodes.has(codeOf(error)) || this.endsEarly(error)) this.stale = true;
  }

  /** A device that was removed has no bytes; one that is shorter now is another disk. */
  private endsEarly(error: unknown): boolean {
    return this.blockDevice && error instanceof PartialError && error.cause === undefined;
  }

  /** After closing, the number of the descriptor may already be that of another file. */
  protected requireOpen(): void {
    if (this.closing) throw new NbdError('ESHUTDOWN', 'The disk is closed. Open it again.');
  }

  /** Reads what is cached into `memory` from `start` on, and returns how many bytes that was. */
  private readCached(memory: Uint8Array, start: number, length: number, offset: number): number {
    if (this.preadNoWait === undefined || !this.readsCached) return 0;
    const count = this.preadNoWait(this.fd, memory, start, length, offset);
    if (count >= 0) return count;
    if (noCachedReads.has(count)) this.readsCached = false;
    // Any other error occurs again on the other thread, and is reported there.
    return 0;
  }

  /** Reads on another thread. A range that is one hole is not read. */
  private async readFromDevice(
    offset: number,
    length: number,
    memory?: Uint8Array,
  ): Promise<Uint8Array | readonly Uint8Array[]> {
    if (this.findData !== undefined) {
      const found = new Float64Array(2);
      const count = await this.findData(this.fd, offset, offset + length, found);
      // Where the search failed, the read reports the error.
      if (count > 0 && (found[0] ?? 0) >= offset + length) {
        if (memory !== undefined) payloadPool.release(memory);
        return zeros(length);
      }
    }
    return this.io.read(memory ?? payloadPool.take(length), offset);
  }

  /**
   * One piece at a time for all requests, which leaves threads for
   * reads. The requests take turns, piece by piece.
   */
  private async fillCache(offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += scratch.length) {
      const piece = scratch.subarray(0, Math.min(scratch.length, length - done));
      await this.caching.run(async () => {
        this.requireOpen();
        await this.io.read(piece, offset + done);
      });
    }
  }
}
