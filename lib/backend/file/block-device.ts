import { readFile } from 'node:fs/promises';
import { messageOf, NbdError } from '../../errors.js';
import type { FileNative } from './io/file-io.js';

/** Bytes, from the addon or from sysfs. @throws NbdError `NBDCORK_OPEN_FAILED`. */
export async function blockDeviceSize(
  fd: number,
  device: number,
  path: string,
  native: FileNative,
): Promise<number> {
  const size = native.blockDeviceSize?.(fd);
  if (size !== undefined && size >= 0) return size;
  try {
    // In units of 512 bytes, whatever the block size of the device.
    return Number(await readFile(`${folderOf(device, '/sys')}/size`, 'ascii')) * 512;
  } catch (cause) {
    throw new NbdError(
      'NBDCORK_OPEN_FAILED',
      `The size of the block device "${path}" is unknown (${messageOf(cause)}). ` +
        'Build the addon ("npm rebuild nbdcork"), or mount /sys.',
      cause,
    );
  }
}

/** False where it is unknown too: it is a hint for clients. `device` is the number of the device. */
export async function isRotational(device: number, sysfs = '/sys'): Promise<boolean> {
  const folder = folderOf(device, sysfs);
  // The folder of a partition is inside that of its disk, which has the queue.
  // `join` would resolve the '..' before the symbolic link.
  for (const queue of [`${folder}/queue`, `${folder}/../queue`]) {
    const rotational = await readFile(`${queue}/rotational`, 'ascii').catch(() => undefined);
    if (rotational !== undefined) return rotational.trim() === '1';
  }
  return false;
}

function folderOf(device: number, sysfs: string): string {
  const { major, minor } = deviceNumbers(device);
  return `${sysfs}/dev/block/${major}:${minor}`;
}

/** As gnu_dev_major and gnu_dev_minor of the C library. */
function deviceNumbers(device: number): { readonly major: bigint; readonly minor: bigint } {
  const bits = BigInt(device);
  return {
    major: ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n),
    minor: (bits & 0xffn) | ((bits >> 12n) & 0xffffff00n),
  };
}
