/** Operations on a file descriptor in libuv's thread pool, without short reads and writes. */
import { close, read, write } from 'node:fs';
import { codeOf, messageOf, NbdError } from '../../../errors.js';
import { PartialError } from '../../partial-error.js';
import { truncatedMessage } from './errors.js';
import type { ImageLock } from '../image-lock.js';

/** An open regular file or block device. */
export interface OpenFile {
  readonly fd: number;
  /** Bytes, when it was opened. */
  readonly size: number;
  readonly blockDevice: boolean;
  /** Open with O_DIRECT: offsets and lengths are multiples of it. */
  readonly directBytes?: number | undefined;
  /**
   * A second descriptor, through which what was transferred leaves the system's
   * cache. Waiting for writes reports those that failed, once for each descriptor:
   * it must not take these errors away from fdatasync.
   */
  readonly cacheFd?: number | undefined;
  /** Absent where the image is not locked. */
  readonly lock?: ImageLock | undefined;
}

/** `read` and `write` of node:fs. */
type Transfer = (
  fd: number,
  bytes: Uint8Array,
  start: number,
  length: number,
  position: number,
  callback: (error: Error | null, count: number) => void,
) => void;

/**
 * Reads into `bytes`, of which index 0 is at `position` of the file, from index
 * `start` to the end.
 *
 * @throws PartialError
 */
export function readFully(
  fd: number,
  bytes: Uint8Array,
  position: number,
  start = 0,
): Promise<void> {
  return transferFully(read, fd, bytes, { position, start }, readFailed);
}

/** Writes all of `bytes` at `position`. @throws PartialError */
export function writeFully(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  return transferFully(write, fd, bytes, { position, start: 0 }, writeFailed);
}

/** Closes `fd`. @throws NbdError */
export function closeDescriptor(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    close(fd, (error) => {
      if (error) reject(closeFailed(error));
      else resolve();
    });
  });
}

function transferFully(
  transfer: Transfer,
  fd: number,
  bytes: Uint8Array,
  { position, start }: { readonly position: number; readonly start: number },
  failed: (bytes: Uint8Array, position: number, done: number, error: Error | null) => NbdError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = start;
    const next = (): void => {
      transfer(fd, bytes, done, bytes.length - done, position + done, (error, count) => {
        if (!error) done += count;
        if (error || count === 0) reject(failed(bytes, position, done, error));
        else if (done < bytes.length) next();
        else resolve();
      });
    };
    next();
  });
}

export function readFailed(
  bytes: Uint8Array,
  position: number,
  done: number,
  error: Error | null,
): NbdError {
  const failedAt = position + done;
  const message = error
    ? `Could not read ${bytes.length} bytes at ${position} of the disk: ${messageOf(error)}.`
    : truncatedMessage(failedAt);
  const progress = { failedAt, data: bytes.subarray(0, done) };
  return new PartialError(codeOf(error) ?? 'EIO', message, progress, error ?? undefined);
}

export function writeFailed(
  bytes: Uint8Array,
  position: number,
  done: number,
  error: Error | null,
): NbdError {
  const reason = error ? messageOf(error) : 'the system wrote nothing';
  return new PartialError(
    codeOf(error) ?? 'EIO',
    `Could not write ${bytes.length} bytes at ${position} of the disk: ${reason}.`,
    { failedAt: position + done },
    error ?? undefined,
  );
}

export function closeFailed(error: Error): NbdError {
  return new NbdError(
    codeOf(error) ?? 'EIO',
    `Could not close the disk: ${messageOf(error)}. Writes since the last flush may be lost.`,
    error,
  );
}
