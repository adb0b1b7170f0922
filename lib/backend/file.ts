import { constants, fstat, open, type Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { addon } from '../native/load.js';
import { closeDescriptor } from './descriptor.js';
import { type FileNative, ReadableFile } from './readable-file.js';
import { WritableFile } from './writable-file.js';

export interface OpenFileOptions {
  /** Neither writes, nor needs the permission to. */
  readonly readOnly?: boolean;
}

export type FileBackend = ReadableFile | WritableFile;

/**
 * A disk in a regular file or on a block device, of the size that it has now.
 * Flushing is fdatasync; trimming and zeroing make holes where they can.
 *
 * Throws `NBDCORK_NOT_FOUND`, `NBDCORK_NO_PERMISSION`, `NBDCORK_NOT_A_DISK`
 * (a directory, a pipe …), `NBDCORK_DISK_TOO_LARGE` and `NBDCORK_OPEN_FAILED`.
 *
 * `native` is what the addon does for files; `{}` does without it.
 */
export async function openFile(
  path: string,
  options: OpenFileOptions = {},
  native: FileNative = addon ?? {},
): Promise<FileBackend> {
  const { readOnly = false } = options;
  const fd = await openDescriptor(path, readOnly);
  try {
    const stats = await statsOf(fd);
    requireDisk(stats, path);
    const blockDevice = stats.isBlockDevice();
    const size = blockDevice ? await blockDeviceSize(fd, stats, path, native) : stats.size;
    requireSafeSize(size, path);
    const file = { fd, size, blockDevice };
    return readOnly ? new ReadableFile(file, native) : new WritableFile(file, native);
  } catch (error) {
    await closeDescriptor(fd);
    throw error;
  }
}

const openAsync = promisify(open);
const statsOf = promisify(fstat);

async function openDescriptor(path: string, readOnly: boolean): Promise<number> {
  try {
    // Before it is opened, since opening a pipe would wait for a writer.
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
    `"${path}" is ${kindOf(stats)}. Give a regular file or a block device.`,
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
    `"${path}" is larger than a disk can be: ${Number.MAX_SAFE_INTEGER} bytes. Shorten it.`,
  );
}

async function blockDeviceSize(
  fd: number,
  stats: Stats,
  path: string,
  native: FileNative,
): Promise<number> {
  const size = native.blockDeviceSize?.(fd);
  if (size !== undefined && size >= 0) return size;
  const { major, minor } = deviceNumbers(stats.rdev);
  try {
    // In units of 512 bytes, whatever the blocks of the device.
    return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'ascii')) * 512;
  } catch (cause) {
    throw new NbdError(
      'NBDCORK_OPEN_FAILED',
      `The size of the block device "${path}" is unknown (${messageOf(cause)}). ` +
        'Build the addon ("npm rebuild nbdcork"), or mount /sys.',
      cause,
    );
  }
}

/** gnu_dev_major and gnu_dev_minor of the C library. */
function deviceNumbers(device: number): { readonly major: bigint; readonly minor: bigint } {
  const bits = BigInt(device);
  return {
    major: ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n),
    minor: (bits & 0xffn) | ((bits >> 12n) & 0xffffff00n),
  };
}

function openFailed(path: string, readOnly: boolean, error: unknown): NbdError {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new NbdError(
        'NBDCORK_NOT_FOUND',
        `There is no file "${path}". Make it first, for example with: truncate -s 1G FILE`,
        error,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new NbdError(
        'NBDCORK_NO_PERMISSION',
        readOnly
          ? `"${path}" may not be read. Give this user the permission to.`
          : `"${path}" may not be written. Give this user the permission to, or open it read-only.`,
        error,
      );
    default:
      return new NbdError(
        'NBDCORK_OPEN_FAILED',
        `"${path}" cannot be opened: ${messageOf(error)}.`,
        error,
      );
  }
}
