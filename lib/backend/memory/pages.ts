import { totalmem } from 'node:os';
import { addon } from '../../native/load.js';

const pageBytes = 2 ** 12;
const hugePageBytes = 2 ** 21;

/**
 * Zeros that begin with a page, or with a huge one: the kernel copies aligned
 * memory a fifth faster, and looks fewer huge pages up. What is asked for on top
 * to find such a beginning is never touched, so never committed. Without the
 * addon there is no telling where memory lies.
 */
export function allocatePages(length: number, huge: boolean): Uint8Array {
  if (addon === undefined) return new Uint8Array(length);
  const unitBytes = huge && length >= hugePageBytes ? hugePageBytes : pageBytes;
  const memory = new Uint8Array(length + unitBytes);
  const start = (unitBytes - addon.offsetIn(memory, unitBytes)) % unitBytes;
  const pages = memory.subarray(start, start + length);
  // A hint: where it is not taken, the pages are the usual ones.
  if (unitBytes === hugePageBytes) addon.adviseHugePages(pages);
  return pages;
}

/** What the machine has, or a container lets this process have. */
export function memoryBytesMax(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
