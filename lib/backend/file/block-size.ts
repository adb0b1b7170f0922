/** The block sizes of a file or a device: what direct I/O needs, and what is fastest. */
import { NbdError } from '../../errors.js';
import type { BlockSize } from '../backend.js';
import type { FileNative } from './io/file-io.js';

/** The kernel's cache has pages of this length: a write to a part of one reads it first. */
const pageBytes = 4096;
/** Where the system does not tell it. Disks of larger blocks are rare. */
const directBytesDefault = 4096;
/** The largest minimum that the protocol allows: "Size constraints". */
const minimumMax = 2 ** 16;
const maximum = 2 ** 32 - 1;

/** Bytes; undefined where unknown. Only block devices have the first two. */
export interface DiskBlocks {
  readonly logical: number | undefined;
  readonly physical: number | undefined;
  /** Offsets of direct I/O are multiples of it; 0 where there is no direct I/O. */
  readonly direct: number | undefined;
}

export function blocksOf(fd: number, native: FileNative): DiskBlocks {
  const sizes = new Float64Array(4).fill(-1);
  native.blockSizes?.(fd, sizes);
  const [logical, physical, , direct] = Array.from(sizes, (size) => (size < 0 ? undefined : size));
  return { logical, physical, direct };
}

/**
 * What offsets, lengths and the size must be multiples of for direct I/O.
 *
 * @throws NbdError `NBDCORK_NO_DIRECT_IO`
 */
export function directBytesOf({ logical, direct }: DiskBlocks, size: number, path: string): number {
  const bytes = Math.max(direct ?? logical ?? directBytesDefault, logical ?? 0);
  if (direct === 0 || !isPowerOfTwo(bytes) || bytes > minimumMax) {
    throw noDirectIo(path, 'its file system has no direct I/O');
  }
  if (size % bytes !== 0) {
    throw new NbdError(
      'NBDCORK_NO_DIRECT_IO',
      `"${path}" has ${size} bytes, but direct I/O needs a multiple of ${bytes}. ` +
        `Extend it, for example with: truncate -s %${bytes} FILE`,
    );
  }
  return bytes;
}

export function noDirectIo(path: string, reason: string, cause?: unknown): NbdError {
  return new NbdError(
    'NBDCORK_NO_DIRECT_IO',
    `"${path}" cannot be opened for direct I/O: ${reason}. ` +
      'Serve it without --direct (API: direct: true).',
    cause,
  );
}

/**
 * What clients are told; undefined for the default. Through the kernel's cache a
 * device accepts any offset, so there only the preferred size is its own.
 */
export function blockSizeFor(
  { physical }: DiskBlocks,
  directBytes: number | undefined,
): BlockSize | undefined {
  if (directBytes === undefined && physical === undefined) return undefined;
  const minimum = directBytes ?? 1;
  const fastest = physical !== undefined && isPowerOfTwo(physical) ? physical : 0;
  return { minimum, preferred: Math.max(pageBytes, minimum, fastest), maximum };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}
