/**
 * Writing a regular file or a block device, all of it on libuv's pool: even a
 * write to the system's cache may wait for a disk.
 */
import { fstat, ftruncate } from 'node:fs';
import { promisify } from 'node:util';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import type { TrimOptions, WriteOptions, WriteZeroesOptions } from '../backend.js';
import { DataSync, writeFully } from './descriptor.js';
import type { MaybePromise } from '../maybe-promise.js';
import { type FileNative, ReadableFile } from './readable-file.js';
import { SerialQueue } from '../serial-queue.js';
import { checkDiskSize } from '../size.js';
import { Space, type OpenFile } from './range-clearer.js';
import { zeroPageBytes, zeroPiece } from '../zeros.js';

const stat = promisify(fstat);
const truncate = promisify(ftruncate);

/** A file that can be read and written. `openFile` makes it. */
export class WritableFile extends ReadableFile {
  readonly fua = true;
  /** Block devices have the size that they have. */
  readonly resize?: (size: number) => Promise<void>;
  private readonly dataSync: DataSync;
  private readonly space: Space;
  /** `resize` and `measure`: on the pool two at a time may run in either order. */
  private readonly resizing = new SerialQueue();
  /** Writes that are under way. */
  private readonly writes = new Set<Promise<void>>();

  constructor(file: OpenFile, native: FileNative) {
    super(file, native);
    if (!file.blockDevice) this.resize = (size) => this.truncateInTurn(size);
    this.dataSync = new DataSync(file.fd);
    this.space = new Space(file, native.fallocate, () => {
      this.requireOpen();
    });
  }

  write(offset: number, data: Uint8Array, { fua }: WriteOptions): Promise<void> {
    this.requireOpen();
    return this.track(this.thenSync(this.writeAt(offset, data), fua));
  }

  flush(): Promise<void> {
    this.requireOpen();
    return this.track(this.dataSync.sync());
  }

  /** Where the system cannot punch holes, the hint is not taken. */
  trim(offset: number, length: number, { fua }: TrimOptions): MaybePromise<void> {
    this.requireOpen();
    if (!fua && !this.space.canPunch) return undefined;
    return this.track(this.thenSync(this.space.trim(offset, length), fua));
  }

  writeZeroes(offset: number, length: number, options: WriteZeroesOptions): Promise<void> {
    this.requireOpen();
    return this.track(this.thenSync(this.zero(offset, length, options), options.fua));
  }

  /** A file that is about to be cut would still have its old size. */
  override measure(): Promise<void> {
    return this.resizing.run(() => super.measure());
  }

  private truncateInTurn(size: number): Promise<void> {
    this.requireOpen();
    return this.track(this.resizing.run(() => this.truncate(size)));
  }

  private async truncate(size: number): Promise<void> {
    checkDiskSize(size);
    // A disk that shrinks must not be read past its new end, nor one that grows before it has.
    const sizeBefore = this.sizeNow;
    this.sizeNow = Math.min(size, sizeBefore);
    try {
      // What was begun before would make it as long again.
      if (size < sizeBefore) await Promise.allSettled(this.writes);
      await truncate(this.fd, size);
      this.sizeNow = size;
    } catch (error) {
      this.sizeNow = sizeBefore;
      throw new NbdError(
        codeOf(error) ?? 'EIO',
        `The file cannot be made ${size} bytes long: ${messageOf(error)}.`,
        error,
      );
    }
  }

  private async thenSync(work: Promise<void>, fua: boolean): Promise<void> {
    await work;
    if (fua) await this.dataSync.sync();
  }

  private async zero(offset: number, length: number, options: WriteZeroesOptions): Promise<void> {
    const zeroed = await this.space.zero(offset, length, options);
    if (zeroed !== undefined) {
      await this.writeZeros(offset, zeroed.start);
      await this.writeZeros(zeroed.end, offset + length);
      if (!this.blockDevice) await this.reach(offset, offset + length);
    } else if (options.fast) {
      // "MUST fail quickly with an error of NBD_ENOTSUP" (Command flags).
      throw new NbdError('ENOTSUP', 'Zeroing this range is no faster than writing it. Write it.');
    } else {
      await this.writeZeros(offset, offset + length);
    }
  }

  /**
   * A file that became shorter under the disk is as long again after a write.
   * Making holes leaves it short, and what was zeroed could not be read.
   * Setting its size might cut off what another request has just written.
   */
  private async reach(start: number, end: number): Promise<void> {
    const { size } = await stat(this.fd);
    const last = this.endOf(end) - 1;
    if (last >= start && size <= last) await this.writeAt(last, zeroPiece(1));
  }

  /** The disk may have shrunk since the request came, which zeros must not undo. */
  private endOf(end: number): number {
    return this.blockDevice ? end : Math.min(end, this.sizeNow);
  }

  private writeAt(offset: number, data: Uint8Array): Promise<void> {
    const { writes } = this;
    const write = writeFully(this.fd, data, offset);
    writes.add(write);
    const done = (): void => {
      writes.delete(write);
    };
    write.then(done, done);
    return write;
  }

  private async writeZeros(start: number, end: number): Promise<void> {
    let position = start;
    while (position < end) {
      if (position > start) this.requireOpen();
      // A size that could not be changed after all is the old one again.
      if (position >= this.endOf(end)) await this.resizing.idle();
      if (position >= this.endOf(end)) return;
      const zeros = zeroPiece(Math.min(zeroPageBytes, this.endOf(end) - position));
      await this.writeAt(position, zeros);
      position += zeros.length;
    }
  }
}
