/** What is done with an open file: on threads of the disk's own, or on libuv's pool. */
import { fdatasync, fstat, ftruncate } from 'node:fs';
import { promisify } from 'node:util';
import { payloadPool } from '../../../memory/buffer-pool.js';
import type { NativeAddon } from '../../../native/addon.js';
import {
  closeDescriptor,
  closeFailed,
  readFully,
  writeFully,
  type OpenFile,
} from './descriptor.js';
import type { MappingNative } from '../mapped-file.js';
import type { InProgress } from './in-progress.js';
import { nodeError, ReadOperation, WriteOperation } from './transfers.js';
import {
  operationKind,
  operationMode,
  threadsMaxDefault,
  Workers,
  type Operation,
  type WorkersNative,
} from './workers.js';

/** Direct I/O needs memory that is aligned to blocks, of which none is larger. */
const directMemoryBytes = 4096;

const directThreadsMax = 32;

/** fallocate(2) with `mode` flags of `fallocateMode`. 0 or `-errno`. */
export type Fallocate = (
  fd: number,
  mode: number,
  offset: number,
  length: number,
) => Promise<number>;

/**
 * lseek(SEEK_DATA) and lseek(SEEK_HOLE) alternately, from `offset` until `end`
 * is passed or `found` is full. Fills `found` with pairs: where a range of data
 * begins and where it ends. Between the ranges are holes. An empty range, the
 * last one, marks the end of the file. Do not access `found` before the promise
 * settles. The count of numbers, or `-errno`: -ENXIO where the file ends at
 * `offset` or before.
 */
export type FindData = (
  fd: number,
  offset: number,
  end: number,
  found: Float64Array,
) => Promise<number>;

/** The part of the addon that files use. Without a member there is a fallback. */
export type FileNative = Partial<
  Pick<NativeAddon, 'preadNoWait' | 'blockDeviceSize' | 'blockSizes' | 'offsetIn'> &
    MappingNative &
    WorkersNative
> & {
  /** In place of the addon's, for tests. */
  readonly fallocate?: Fallocate;
  readonly findData?: FindData;
};

export interface FileIo {
  /**
   * Reads into `bytes`, of which index 0 is at `position`, from index `start` to
   * the end. Settles with `bytes`. @throws PartialError
   */
  read(bytes: Uint8Array, position: number, start?: number): Promise<Uint8Array>;
  /** @throws PartialError */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** fdatasync(2). */
  sync(): Promise<void>;
  /** Bytes; of a block device 0 without the addon. */
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  readonly fallocate: Fallocate | undefined;
  readonly findData: FindData | undefined;
  /**
   * Takes a range out of the system's cache, through a descriptor of the same
   * file; with `writeBack` after writing it to the device. Never rejects: it is a hint.
   */
  uncache(cacheFd: number, position: number, length: number, writeBack: boolean): Promise<void>;
  /** @throws NbdError */
  close(): Promise<void>;
}

/** Undefined without the addon. */
export function workersOf(native: FileNative): WorkersNative | undefined {
  const { createWorkers, submitWork, addWorker, closeWorkers } = native;
  return createWorkers && submitWork && addWorker && closeWorkers
    ? { createWorkers, submitWork, addWorker, closeWorkers }
    : undefined;
}

/** `file.fd` is closed by `close`. Reads and writes are counted in `inProgress`. */
export function openFileIo(file: OpenFile, native: FileNative, inProgress: InProgress): FileIo {
  const { fd } = file;
  const workers = workersOf(native);
  const io =
    workers === undefined
      ? new PoolIo(fd, inProgress)
      : new WorkerIo(file, native, new Workers(workers, threadsMaxOf(file)), inProgress);
  if (native.fallocate !== undefined) io.fallocate = native.fallocate;
  if (native.findData !== undefined) io.findData = native.findData;
  return io;
}

/** Direct requests always wait: a device works on as many of them as there are threads. */
function threadsMaxOf({ directBytes }: OpenFile): number {
  return directBytes === undefined ? threadsMaxDefault : directThreadsMax;
}

/** Without the addon: all disks share the threads of libuv's pool. */
class PoolIo implements FileIo {
  fallocate: Fallocate | undefined;
  findData: FindData | undefined;
  private readonly fd: number;
  private readonly inProgress: InProgress;

  constructor(fd: number, inProgress: InProgress) {
    this.fd = fd;
    this.inProgress = inProgress;
  }

  async read(bytes: Uint8Array, position: number, start = 0): Promise<Uint8Array> {
    await this.inProgress.track(readFully(this.fd, bytes, position, start));
    return bytes;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.inProgress.trackWrite(writeFully(this.fd, bytes, position));
  }

  sync(): Promise<void> {
    return promisify(fdatasync)(this.fd);
  }

  async size(): Promise<number> {
    return (await promisify(fstat)(this.fd)).size;
  }

  truncate(size: number): Promise<void> {
    return promisify(ftruncate)(this.fd, size);
  }

  uncache(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return closeDescriptor(this.fd);
  }
}

/** A disk that hangs keeps only its own threads. */
class WorkerIo implements FileIo {
  fallocate: Fallocate | undefined = (fd, mode, position, length) =>
    this.call({ kind: operationKind.allocate, fd, mode, position, length });
  findData: FindData | undefined = (fd, position, end, found) =>
    this.call({
      kind: operationKind.findData,
      fd,
      position,
      length: end - position,
      memory: new Uint8Array(found.buffer, found.byteOffset, found.byteLength),
    });
  private readonly fd: number;
  private readonly transferMode: number;
  private readonly offsetIn: FileNative['offsetIn'];
  private readonly workers: Workers;
  private readonly inProgress: InProgress;

  constructor(file: OpenFile, native: FileNative, workers: Workers, inProgress: InProgress) {
    this.fd = file.fd;
    this.transferMode =
      file.directBytes === undefined ? operationMode.normal : operationMode.direct;
    this.offsetIn = native.offsetIn;
    this.workers = workers;
    this.inProgress = inProgress;
  }

  read(bytes: Uint8Array, position: number, start = 0): Promise<Uint8Array> {
    const operation = new ReadOperation(
      this.fd,
      bytes,
      position,
      start,
      this.transferMode,
      this.inProgress,
    );
    this.workers.add(operation);
    return operation;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    const { transferMode } = this;
    if (transferMode === operationMode.direct && this.offsetIn?.(bytes, directMemoryBytes) !== 0) {
      return this.writeCopy(bytes, position);
    }
    const operation = new WriteOperation(this.fd, bytes, position, transferMode, this.inProgress);
    this.workers.add(operation);
    return operation;
  }

  /** Payloads that the server receives are aligned; zeros and those of other callers need not be. */
  private async writeCopy(bytes: Uint8Array, position: number): Promise<void> {
    const copy = payloadPool.take(bytes.length);
    copy.set(bytes);
    try {
      await this.write(copy, position);
    } finally {
      payloadPool.release(copy);
    }
  }

  async uncache(
    cacheFd: number,
    position: number,
    length: number,
    writeBack: boolean,
  ): Promise<void> {
    const mode = writeBack ? operationMode.writeBack : operationMode.normal;
    await this.call({ kind: operationKind.uncache, fd: cacheFd, mode, position, length });
  }

  async sync(): Promise<void> {
    await this.succeed({ kind: operationKind.sync }, 'fdatasync');
  }

  size(): Promise<number> {
    return this.succeed({ kind: operationKind.size }, 'fstat');
  }

  async truncate(size: number): Promise<void> {
    await this.succeed({ kind: operationKind.truncate, position: size }, 'ftruncate');
  }

  async close(): Promise<void> {
    const result = await this.call({ kind: operationKind.close });
    this.workers.close();
    if (result < 0) throw closeFailed(nodeError(result, 'close'));
  }

  private async call(given: Pick<Operation, 'kind'> & Partial<Operation>): Promise<number> {
    const nothing = { fd: this.fd, position: 0, length: 0, mode: 0, memory: undefined };
    return (await this.workers.run({ ...nothing, ...given })).value;
  }

  private async succeed(
    given: Pick<Operation, 'kind'> & Partial<Operation>,
    systemCall: string,
  ): Promise<number> {
    const value = await this.call(given);
    if (value < 0) throw nodeError(value, systemCall);
    return value;
  }
}
