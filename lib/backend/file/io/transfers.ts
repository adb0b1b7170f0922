/** Reads and writes on the threads of a disk: each is one object from the request to its reply. */
import { getSystemErrorMap } from 'node:util';
import { Pending } from '../../pending.js';
import { readFailed, writeFailed } from './descriptor.js';
import type { InProgress } from './in-progress.js';
import { operationKind, type PendingOperation } from './workers.js';

/** Settles with `bytes`. @throws PartialError */
export class ReadOperation extends Pending<Uint8Array> implements PendingOperation {
  readonly kind = operationKind.read;
  readonly fd: number;
  readonly position: number;
  readonly length: number;
  readonly mode: number;
  readonly memory: Uint8Array;
  private readonly bytes: Uint8Array;
  private readonly inProgress: InProgress;

  /** Index 0 of `bytes` is at `position`; those from `start` on are read. */
  constructor(
    fd: number,
    bytes: Uint8Array,
    position: number,
    start: number,
    mode: number,
    inProgress: InProgress,
  ) {
    super();
    this.fd = fd;
    this.mode = mode;
    this.position = position + start;
    this.length = bytes.length - start;
    this.memory = start === 0 ? bytes : bytes.subarray(start);
    this.bytes = bytes;
    this.inProgress = inProgress;
    inProgress.began();
  }

  ended(value: number, done: number): void {
    this.inProgress.ended();
    const { bytes } = this;
    if (value === this.length) {
      this.resolve(bytes);
      return;
    }
    const start = bytes.length - this.length;
    const error = value < 0 ? nodeError(value, 'read') : null;
    const failure = readFailed(bytes, this.position - start, start + done, error);
    this.inProgress.failed(failure);
    this.reject(failure);
  }
}

/** @throws PartialError */
export class WriteOperation extends Pending<void> implements PendingOperation {
  readonly kind = operationKind.write;
  readonly fd: number;
  readonly position: number;
  readonly length: number;
  readonly mode: number;
  readonly memory: Uint8Array;
  private readonly inProgress: InProgress;
  private readonly period: 0 | 1;

  constructor(
    fd: number,
    bytes: Uint8Array,
    position: number,
    mode: number,
    inProgress: InProgress,
  ) {
    super();
    this.fd = fd;
    this.mode = mode;
    this.position = position;
    this.length = bytes.length;
    this.memory = bytes;
    this.inProgress = inProgress;
    this.period = inProgress.writeBegan();
  }

  ended(value: number, done: number): void {
    this.inProgress.writeEnded(this.period);
    if (value === this.length) {
      this.resolve();
      return;
    }
    const error = value < 0 ? nodeError(value, 'write') : null;
    const failure = writeFailed(this.memory, this.position, done, error);
    this.inProgress.failed(failure);
    this.reject(failure);
  }
}

/** As Node makes it: `EIO: i/o error, write`. */
export function nodeError(result: number, systemCall: string): Error {
  const [code = 'EIO', message = 'unknown error'] = getSystemErrorMap().get(result) ?? [];
  return Object.assign(new Error(`${code}: ${message}, ${systemCall}`), {
    errno: result,
    code,
    syscall: systemCall,
  });
}
