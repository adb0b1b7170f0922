import { constants, fstat, open, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import { addon } from '../../native/load.js';
import type { Backend } from '../backend.js';
import { blocksOf, blockSizeFor, directBytesOf, noDirectIo } from './block-size.js';
import { blockDeviceSize, isRotational } from './block-device.js';
import { closeDescriptor } from './io/descriptor.js';
import { workersOf, type FileNative } from './io/file-io.js';
import { requireRaw } from './image-format.js';
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
  /**
   * True reads and writes without the system's cache (O_DIRECT): clients are told
   * the blocks of which their requests must consist, and the size must be a multiple
   * of them. Needs the addon.
   */
  readonly direct?: boolean;
  /**
   * True takes what was read and written out of the system's cache again, in
   * pieces of 8 MiB, so that a copy does not displace what others keep there.
   * Needs the addon. `direct` does not use the cache in the first place.
   */
  readonly dropCache?: boolean;
  /**
   * Serves the bytes of the file as they are. Without it, images of QEMU, VMware and
   * others, and compressed files, are refused: they are recognized by their content.
   */
  readonly format?: 'raw';
}

/** What `openFile` opens. Only block devices have `rotational`; they, and `direct`, have `blockSize`. */
export type FileBackend = (ReadableFile | WritableFile) & Pick<Backend, 'rotational' | 'blockSize'>;

/**
 * Opens a regular file or a block device as a disk, with the size that it has
 * now. Flushing is fdatasync. Trimming and zeroing punch holes where possible.
 *
 * @throws NbdError `NBDCORK_NOT_FOUND`, `NBDCORK_NO_PERMISSION`,
 *   `NBDCORK_NOT_A_DISK` (a directory, a pipe, …), `NBDCORK_DISK_TOO_LARGE`,
 *   `NBDCORK_NOT_RAW`, `NBDCORK_LOCKED`, `NBDCORK_NO_DIRECT_IO` or `NBDCORK_OPEN_FAILED`.
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
  const { readOnly = false, lock: locks = true, direct = false, dropCache = false } = options;
  if (direct || dropCache) requireAddon(path, direct, native);
  const opened: number[] = [];
  try {
    const fd = await openDescriptor(path, readOnly, direct);
    opened.push(fd);
    const stats = await statsOf(fd);
    requireDisk(stats, path);
    const blockDevice = stats.isBlockDevice();
    const size = blockDevice ? await blockDeviceSize(fd, stats.rdev, path, native) : stats.size;
    requireSafeSize(size, path);
    if (options.format === undefined) await requireRaw(fd, size, path);
    const lock = locks ? await lockImage(fd, path, readOnly, native) : undefined;
    const blocks = blocksOf(fd, native);
    const directBytes = direct ? directBytesOf(blocks, size, path) : undefined;
    const cacheFd = dropCache && !direct ? await openAgain(fd, path) : undefined;
    if (cacheFd !== undefined) opened.push(cacheFd);
    const blockSize = blockSizeFor(blocks, directBytes);
    const rotational = blockDevice ? await isRotational(stats.rdev) : undefined;
    const file = { fd, size, blockDevice, directBytes, cacheFd, lock };
    const disk = readOnly ? new ReadableFile(file, native) : new WritableFile(file, native);
    return Object.assign(
      disk,
      rotational !== undefined && { rotational },
      blockSize !== undefined && { blockSize },
    );
  } catch (error) {
    // The first error matters more than a failure to close.
    await Promise.allSettled(opened.map(closeDescriptor));
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

/** @throws NbdError `NBDCORK_NO_DIRECT_IO` or `NBDCORK_OPEN_FAILED`. */
function requireAddon(path: string, direct: boolean, native: FileNative): void {
  if (workersOf(native) !== undefined) return;
  const reason = 'it needs the addon ("npm rebuild nbdcork")';
  if (direct) throw noDirectIo(path, reason);
  throw new NbdError(
    'NBDCORK_OPEN_FAILED',
    `Could not open "${path}" so that it leaves the cache (--drop-cache): ${reason}.`,
  );
}

/** Another descriptor of the same file, whatever has its path by now. */
async function openAgain(fd: number, path: string): Promise<number> {
  try {
    return await openAsync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
  } catch (error) {
    throw openFailed(path, true, error);
  }
}

async function openDescriptor(path: string, readOnly: boolean, direct: boolean): Promise<number> {
  try {
    // Checked before it is opened: opening a pipe would wait for a writer.
    requireDisk(await stat(path), path);
    const access = readOnly ? constants.O_RDONLY : constants.O_RDWR;
    return await openAsync(path, access | (direct ? constants.O_DIRECT : 0));
  } catch (error) {
    if (direct && codeOf(error) === 'EINVAL') {
      throw noDirectIo(path, 'its file system has no direct I/O', error);
    }
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
