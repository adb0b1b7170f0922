import { constants, fstat, open, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import { addon } from '../../native/load.js';
import type { Backend } from '../backend.js';
import { blockDeviceSize, isRotational } from './block-device.js';
import { closeDescriptor } from './io/descriptor.js';
import { workersOf, type FileNative } from './io/file-io.js';
import { ImageLock, imageUse } from './image-lock.js';
import { ReadableFile } from './readable-file.js';
import { WritableFile } from './writable-file.js';

/** Options of `openFile`. */
export interface OpenFileOptions {
  /** Open the file for reading only. Write permission is not needed. */
  readonly readOnly?: boolean;
  /**
   * False opens the file without an advisory lock. By default it is locked as
   * QEMU does, where the addon and the file system can: it is refused where
   * another program has it open for writing, unless it is opened for reading only.
   */
  readonly lock?: boolean;
}

/** What `openFile` opens. Only block devices have `rotational`. */
export type FileBackend = (ReadableFile | WritableFile) & Pick<Backend, 'rotational'>;

/**
 * Opens a regular file or a block device as a disk, with the size that it has
 * now. Flushing is fdatasync. Trimming and zeroing punch holes where possible.
 *
 * @throws NbdError `NBDCORK_NOT_FOUND`, `NBDCORK_NO_PERMISSION`,
 *   `NBDCORK_NOT_A_DISK` (a directory, a pipe, …), `NBDCORK_DISK_TOO_LARGE`,
 *   `NBDCORK_LOCKED` or `NBDCORK_OPEN_FAILED`.
 */
export function openFile(path: string, options: OpenFileOptions = {}): Promise<FileBackend> {
  return openFileWith(path, options);
}

/** As `openFile`, with the given functions of the addon: `{}` for none. */
export async function openFileWith(
  path: string,
  options: OpenFileOptions,
  native: FileNative = addon ?? {},
): Promise<FileBackend> {
  const { readOnly = false, lock: locks = true } = options;
  const fd = await openDescriptor(path, readOnly);
  try {
    const stats = await statsOf(fd);
    requireDisk(stats, path);
    const blockDevice = stats.isBlockDevice();
    const size = blockDevice ? await blockDeviceSize(fd, stats.rdev, path, native) : stats.size;
    requireSafeSize(size, path);
    const lock = locks ? await lockImage(fd, path, readOnly, native) : undefined;
    const file = { fd, size, blockDevice, lock };
    const disk = readOnly ? new ReadableFile(file, native) : new WritableFile(file, native);
    return blockDevice ? Object.assign(disk, { rotational: await isRotational(stats.rdev) }) : disk;
  } catch (error) {
    // The first error matters more than a failure to close.
    await Promise.allSettled([closeDescriptor(fd)]);
    throw error;
  }
}

/** @throws NbdError `NBDCORK_LOCKED`. */
async function lockImage(
  fd: number,
  path: string,
  readOnly: boolean,
  native: FileNative,
): Promise<ImageLock | undefined> {
  const workers = workersOf(native);
  if (workers === undefined) return undefined;
  const lock = new ImageLock(fd, workers);
  const conflict = await lock.acquire(readOnly ? imageUse.reading : imageUse.writing);
  if (conflict === undefined) return lock;
  throw new NbdError(
    'NBDCORK_LOCKED',
    `"${path}" is in use: another program ${conflict}. ` +
      `End that program${readOnly ? '' : ', serve the image read-only'}, ` +
      'or use --no-lock (API: lock: false) if it is safe.',
  );
}

const openAsync = promisify(open);
const statsOf = promisify(fstat);

async function openDescriptor(path: string, readOnly: boolean): Promise<number> {
  try {
    // Checked before it is opened: opening a pipe would wait for a writer.
    requireDisk(await stat(path), path);
    return await openAsync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
  } catch (error) {
    throw error instanceof NbdError ? error : openFailed(path, readOnly, error);
  }
}

function requireDisk(stats: Stats, path: string): void {
  if (stats.isFile() || stats.isBlockDevice()) return;
  throw new NbdError(
    'NBDCORK_NOT_A_DISK',
    `"${path}" is ${kindOf(stats)}. Give the path of a regular file or a block device.`,
  );
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return 'a character device';
}

function requireSafeSize(size: number, path: string): void {
  if (Number.isSafeInteger(size)) return;
  throw new NbdError(
    'NBDCORK_DISK_TOO_LARGE',
    `"${path}" is too large: a disk has at most ${Number.MAX_SAFE_INTEGER} bytes. Truncate it.`,
  );
}

function openFailed(path: string, readOnly: boolean, error: unknown): NbdError {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new NbdError(
        'NBDCORK_NOT_FOUND',
        `There is no file "${path}". Create it first, for example with: truncate -s 1G FILE`,
        error,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new NbdError(
        'NBDCORK_NO_PERMISSION',
        readOnly
          ? `No permission to read "${path}". Grant it to this user.`
          : `No permission to write "${path}". Grant it to this user, or open the file read-only.`,
        error,
      );
    default:
      return new NbdError(
        'NBDCORK_OPEN_FAILED',
        `Could not open "${path}": ${messageOf(error)}.`,
        error,
      );
  }
}
