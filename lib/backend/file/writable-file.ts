import { codeOf, messageOf, NbdError } from '../../errors.js';
import type { TrimOptions, WriteOptions, WriteZeroesOptions } from '../backend.js';
import { DataSync } from './data-sync.js';
import type { OpenFile } from './io/descriptor.js';
import type { FileNative } from './io/file-io.js';
import { imageUse, type ImageLock } from './image-lock.js';
import type { MaybePromise } from '../maybe-promise.js';
import { ReadableFile } from './readable-file.js';
import { SerialQueue } from '../serial-queue.js';
import { checkDiskSize } from '../size.js';
import { RangeClearer } from './range-clearer.js';
import { zeroPageBytes, zeroPiece } from '../zeros.js';

/**
 * A disk in a regular file or on a block device that can be read and written;
 * `openFile` creates it. All writing is done on threads of the disk's own: even a
 * write to the system's cache may wait for a device.
 */
export class WritableFile extends ReadableFile {
  readonly fua = true;
  readonly payloadLifetime = 'request';
  /** Absent for block devices, whose size clients cannot change. */
  readonly resize?: (size: number) => Promise<void>;
  private readonly lock: ImageLock | undefined;
  private readonly dataSync: DataSync;
  private readonly clearer: RangeClearer;
  /** `resize` and `measure`: on other threads two at a time could run in either order. */
  private readonly resizing = new SerialQueue();

  constructor(file: OpenFile, native: FileNative) {
    super(file, native);
    this.lock = file.lock;
    if (!file.blockDevice) this.resize = (size) => this.queueTruncate(size);
    this.dataSync = new DataSync(() => this.io.sync());
    this.clearer = new RangeClearer(file, this.io.fallocate, () => {
      this.requireOpen();
    });
  }

  override get mustReopen(): boolean {
    return super.mustReopen || this.dataSync.failed;
  }

  write(offset: number, data: Uint8Array, { fua }: WriteOptions): Promise<void> {
    this.requireOpen();
    const write = this.writeBytes(offset, data);
    return fua ? this.track(this.thenSync(write, fua)) : write;
  }

  flush(): Promise<void> {
    this.requireOpen();
    const { dropper } = this;
    const sync = this.track(this.dataSync.sync());
    // All of it is on the device now: a copy that ends leaves nothing behind.
    return dropper === undefined ? sync : sync.then(() => void dropper.dropAll());
  }

  /** Does nothing where the system cannot punch holes. */
  trim(offset: number, length: number, { fua }: TrimOptions): MaybePromise<void> {
    this.requireOpen();
    if (!fua && !this.clearer.canPunch) return undefined;
    return this.track(this.thenSync(this.clearer.trim(offset, length), fua));
  }

  writeZeroes(offset: number, length: number, options: WriteZeroesOptions): Promise<void> {
    this.requireOpen();
    return this.track(this.thenSync(this.zero(offset, length, options), options.fua));
  }

  /** Waits for `resize`: a file that is about to be truncated still has its old size. */
  override measure(): Promise<void> {
    return this.resizing.run(() => super.measure());
  }

  private queueTruncate(size: number): Promise<void> {
    this.requireOpen();
    return this.track(this.resizing.run(() => this.truncate(size)));
  }

  private async truncate(size: number): Promise<void> {
    checkDiskSize(size);
    // Not read past its new end while it shrinks, nor past its old end while it grows.
    const sizeBefore = this.sizeNow;
    this.sizeNow = Math.min(size, sizeBefore);
    try {
      const conflict = await this.lock?.acquire(imageUse.resizing);
      if (conflict !== undefined) throw new NbdError('EPERM', `another program ${conflict}`);
      // Writes in progress would extend the file again.
      if (size < sizeBefore) await this.inProgress.whenWritesEnded();
      await this.io.truncate(size);
      this.sizeNow = size;
    } catch (error) {
      this.sizeNow = sizeBefore;
      throw new NbdError(
        codeOf(error) ?? 'EIO',
        `Could not resize the disk to ${size} bytes: ${messageOf(error)}.`,
        error,
      );
    }
  }

  private writeBytes(offset: number, data: Uint8Array): Promise<void> {
    const write = this.io.write(data, offset);
    if (this.dropper === undefined) return write;
    return this.track(this.dropper.afterWrite(write, offset, data.length));
  }

  private async thenSync(work: Promise<void>, fua: boolean): Promise<void> {
    await work;
    if (fua) await this.dataSync.sync();
  }

  private async zero(offset: number, length: number, options: WriteZeroesOptions): Promise<void> {
    const zeroed = await this.clearer.zero(offset, length, options);
    if (zeroed !== undefined) {
      await this.writeZeros(offset, zeroed.start);
      await this.writeZeros(zeroed.end, offset + length);
      if (!this.blockDevice) await this.extendTo(offset, offset + length);
    } else if (options.fast) {
      // "MUST fail quickly with an error of NBD_ENOTSUP" (Command flags).
      throw new NbdError('ENOTSUP', 'Zeroing is no faster than writing here. Write the zeros.');
    } else {
      await this.writeZeros(offset, offset + length);
    }
  }

  /**
   * A file that something else truncated is extended again by a write, but not
   * by a hole: the zeroed range could not be read. ftruncate could cut off what
   * another request has just written, so this writes the last block of the range:
   * a byte, or what direct I/O needs.
   */
  private async extendTo(start: number, end: number): Promise<void> {
    const size = await this.io.size();
    const { blockBytes } = this;
    const last = this.endOf(end) - blockBytes;
    if (last >= start && size < last + blockBytes) {
      await this.io.write(zeroPiece(blockBytes), last);
    }
  }

  /** The disk may have shrunk since the request arrived, which zeros must not undo. */
  private endOf(end: number): number {
    return this.blockDevice ? end : Math.min(end, this.sizeNow);
  }

  private async writeZeros(start: number, end: number): Promise<void> {
    let position = start;
    while (position < end) {
      if (position > start) this.requireOpen();
      // A resize that fails restores the size.
      if (position >= this.endOf(end)) await this.resizing.idle();
      if (position >= this.endOf(end)) return;
      const zeros = zeroPiece(Math.min(zeroPageBytes, this.endOf(end) - position));
      await this.writeBytes(position, zeros);
      position += zeros.length;
    }
  }
}
