/** What the kernel tells of a block device, by the device's numbers in sysfs. */
import { readFile } from 'node:fs/promises';
import { messageOf, NbdError } from '../../errors.js';
import type { FileNative } from './readable-file.js';

export async function blockDeviceSize(
  fd: number,
  device: number,
  path: string,
  native: FileNative,
): Promise<number> {
  const size = native.blockDeviceSize?.(fd);
  if (size !== undefined && size >= 0) return size;
  try {
    // In units of 512 bytes, whatever the blocks of the device.
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

/** False also where nobody tells: it is a hint to clients, and no disk is refused for it. */
export async function isRotational(device: number, sysfs = '/sys'): Promise<boolean> {
  const folder = folderOf(device, sysfs);
  // The folder of a partition lies in that of its disk, which has the queue.
  // `join` would follow the '..' before the link.
  for (const queue of [`${folder}/queue`, `${folder}/../queue`]) {
    const told = await readFile(`${queue}/rotational`, 'ascii').catch(() => undefined);
    if (told !== undefined) return told.trim() === '1';
  }
  return false;
}

function folderOf(device: number, sysfs: string): string {
  const { major, minor } = deviceNumbers(device);
  return `${sysfs}/dev/block/${major}:${minor}`;
}

/** gnu_dev_major and gnu_dev_minor of the C library. */
function deviceNumbers(device: number): { readonly major: bigint; readonly minor: bigint } {
  const bits = BigInt(device);
  return {
    major: ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & 0xfffff000n),
    minor: (bits & 0xffn) | ((bits >> 12n) & 0xffffff00n),
  };
}
