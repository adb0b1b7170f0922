/** What the servers serve. */
import { open } from 'node:fs/promises';
import { u32 } from '../support/numbers.js';

/**
 * A writable disk, the same read-only, one whose size is not a multiple of 512, one
 * that clients may resize, one served only over TLS, and one with optional TLS.
 */
export type DiskKind = 'writable' | 'readOnly' | 'odd' | 'resizable' | 'tls' | 'optionalTls';

export const diskBytes: Readonly<Record<DiskKind, number>> = {
  // More than the 2^25 bytes of the largest request.
  writable: 40 * 2 ** 20,
  readOnly: 40 * 2 ** 20,
  odd: 1000,
  resizable: 4 * 2 ** 20,
  tls: 40 * 2 ** 20,
  optionalTls: 40 * 2 ** 20,
};

/** Bytes at the beginning that no case changes. All after them are zero. */
const contentBytes = 2 ** 20;

/** Offset at which cases write. */
export const scratch = 2 ** 21;

/** Every four bytes contain their own index. */
export const content = Buffer.concat(
  Array.from({ length: contentBytes / 4 }, (_, index) => u32(0xa0000000 + index)),
);

export async function makeDisk(path: string, kind: DiskKind): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(diskBytes[kind]);
  await file.write(content.subarray(0, diskBytes[kind]));
  await file.close();
}
