/** What is done with an open file: on threads of the disk's own, or on libuv's pool. */
import { fdatasync, fstat, ftruncate } from 'node:fs';
import { getSystemErrorMap, promisify } from 'node:util';
import type { NativeAddon } from '../../../native/addon.js';
import {
  closeDescriptor,
  closeFailed,
  readFailed,
  readFully,
  writeFailed,
  writeFully,
} from './descriptor.js';
import { operationKind, Workers, type Operation, type WorkersNative } from './workers.js';

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
  Pick<NativeAddon, 'preadNoWait' | 'blockDeviceSize'> & WorkersNative
> & {
  /** In place of the addon's, for tests. */
  readonly fallocate?: Fallocate;
  readonly findData?: FindData;
};

export interface FileIo {
  /** Reads into `bytes`, of which index 0 is at `position`, from index `start` to the end. @throws PartialError */
  read(bytes: Uint8Array, position: number, start?: number): Promise<void>;
  /** @throws PartialError */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** fdatasync(2). */
  sync(): Promise<void>;
  /** Bytes of a regular file. */
  size(): Promise<number>;
  truncate(size: number): Promise<void>;
  readonly fallocate: Fallocate | undefined;
  readonly findData: FindData | undefined;
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

/** `fd` is closed by `close`. */
export function openFileIo(fd: number, native: FileNative): FileIo {
  const workers = workersOf(native);
  const io = workers === undefined ? new PoolIo(fd) : new WorkerIo(fd, new Workers(workers));
  if (native.fallocate !== undefined) io.fallocate = native.fallocate;
  if (native.findData !== undefined) io.findData = native.findData;
  return io;
}

/** Without the addon: all disks share the threads of libuv's pool. */
class PoolIo implements FileIo {
  fallocate: Fallocate | undefined;
  findData: FindData | undefined;
  private readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  read(bytes: Uint8Array, position: number, start = 0): Promise<void> {
    return readFully(this.fd, bytes, position, start);
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.fd, bytes, position);
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
  private readonly workers: Workers;

  constructor(fd: number, workers: Workers) {
    this.fd = fd;
    this.workers = workers;
  }

  async read(bytes: Uint8Array, position: number, start = 0): Promise<void> {
    const memory = start === 0 ? bytes : bytes.subarray(start);
    const { value, done } = await this.workers.run(
      this.operation({
        kind: operationKind.read,
        position: position + start,
        length: memory.length,
        memory,
      }),
    );
    if (value === memory.length) return;
    throw readFailed(bytes, position, start + done, value < 0 ? nodeError(value, 'read') : null);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    const { value, done } = await this.workers.run(
      this.operation({
        kind: operationKind.write,
        position,
        length: bytes.length,
        memory: bytes,
      }),
    );
    if (value === bytes.length) return;
    throw writeFailed(bytes, position, done, value < 0 ? nodeError(value, 'write') : null);
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

  private operation(given: Pick<Operation, 'kind'> & Partial<Operation>): Operation {
    return { fd: this.fd, position: 0, length: 0, mode: 0, memory: undefined, ...given };
  }

  private async call(given: Pick<Operation, 'kind'> & Partial<Operation>): Promise<number> {
    return (await this.workers.run(this.operation(given))).value;
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

/** As Node makes it: `EIO: i/o error, write`. */
function nodeError(result: number, systemCall: string): Error {
  const [code = 'EIO', message = 'unknown error'] = getSystemErrorMap().get(result) ?? [];
  return Object.assign(new Error(`${code}: ${message}, ${systemCall}`), {
    errno: result,
    code,
    syscall: systemCall,
  });
}
