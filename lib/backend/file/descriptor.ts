/**
 * What the file backend does on libuv's pool, on a descriptor that it owns: all
 * of a range or an error, whatever single system calls come short.
 */
import { close, fdatasync, read, write } from 'node:fs';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import { PartialError } from '../partial-error.js';

/** Fills `bytes` from number `from` on; `bytes` as a whole is from `position`. */
export function readFully(
  fd: number,
  bytes: Uint8Array,
  position: number,
  from = 0,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = from;
    const next = (): void => {
      read(fd, bytes, done, bytes.length - done, position + done, (error, count) => {
        if (!error) done += count;
        if (error || count === 0) reject(readFailed(bytes, position, done, error));
        else if (done < bytes.length) next();
        else resolve();
      });
    };
    next();
  });
}

export function writeFully(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = 0;
    const next = (): void => {
      write(fd, bytes, done, bytes.length - done, position + done, (error, count) => {
        if (!error) done += count;
        if (error || count === 0) reject(ioError('write', bytes, position, done, error));
        else if (done < bytes.length) next();
        else resolve();
      });
    };
    next();
  });
}

export function closeDescriptor(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    close(fd, (error) => {
      if (error) reject(new NbdError(codeOf(error) ?? 'EIO', closeFailed(error), error));
      else resolve();
    });
  });
}

interface Caller {
  readonly resolve: () => void;
  readonly reject: (error: NbdError) => void;
}

/**
 * fdatasync for many callers at a time. One that comes while a sync runs waits
 * for the next, since the running one may have begun before the writes that the
 * caller wants covered; all who wait share that next one.
 *
 * A failed sync fails all later ones. Linux reports lost writes once and then
 * forgets them: a sync that succeeds afterwards says nothing about them.
 */
export class DataSync {
  private waiting: Caller[] = [];
  private running = false;
  private failure: NbdError | undefined;
  private readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (!this.running) this.start();
    });
  }

  private start(): void {
    const callers = this.waiting;
    this.waiting = [];
    if (this.failure !== undefined) {
      settle(callers, this.failure);
      return;
    }
    this.running = true;
    fdatasync(this.fd, (error) => {
      this.running = false;
      if (error) this.failure = syncFailed(error);
      settle(callers, this.failure);
      if (this.waiting.length > 0) this.start();
    });
  }
}

function settle(callers: readonly Caller[], failure: NbdError | undefined): void {
  for (const { resolve, reject } of callers) {
    if (failure === undefined) resolve();
    else reject(failure);
  }
}

// These messages reach clients, so they do not name the file.

function readFailed(bytes: Uint8Array, position: number, done: number, error: unknown): NbdError {
  if (error) return ioError('read', bytes, position, done, error);
  const failedAt = position + done;
  return new PartialError(
    'EIO',
    `The file ends at ${failedAt}: it has become shorter than the disk. ` +
      'Give it its length back, or open it again.',
    { failedAt, data: bytes.subarray(0, done) },
  );
}

function ioError(
  verb: 'read' | 'write',
  bytes: Uint8Array,
  position: number,
  done: number,
  error: unknown,
): NbdError {
  const why = error ? messageOf(error) : 'the system took no byte';
  return new PartialError(
    codeOf(error) ?? 'EIO',
    `Could not ${verb} ${bytes.length} bytes at ${position} of the disk: ${why}.`,
    { failedAt: position + done, ...(verb === 'read' && { data: bytes.subarray(0, done) }) },
    error,
  );
}

function syncFailed(error: unknown): NbdError {
  return new NbdError(
    codeOf(error) ?? 'EIO',
    `Writes may be lost: flushing the disk failed (${messageOf(error)}). ` +
      'Every flush fails until the disk is opened again; check its contents then.',
    error,
  );
}

function closeFailed(error: unknown): string {
  return `Closing the disk failed: ${messageOf(error)}. Writes that were not flushed may be lost.`;
}
