import { totalmem } from 'node:os';
import { addon } from '../native/load.js';

const pageBytes = 2 ** 12;
const hugePageBytes = 2 ** 21;
/**
 * The C library maps fresh zeros for more than 32 MiB. Less may come from memory
 * that was freed before, which then stays committed, and is zeroed at once here.
 */
const freshBytesMin = 2 ** 25 + 2 ** 12;
/** Allocations of at least this size are enlarged to `freshBytesMin`. */
const enlargedBytesMin = 2 ** 24;

/**
 * Allocates zeros that begin on a page, with `huge` on a huge page: the kernel
 * copies aligned memory a fifth faster, and huge pages take fewer lookups. The
 * memory allocated in addition is never touched, so never committed. Without the
 * addon, addresses are unknown and nothing is aligned.
 */
export function allocatePages(length: number, huge: boolean): Uint8Array {
  if (addon === undefined) return new Uint8Array(length);
  const unitBytes = huge && length >= hugePageBytes ? hugePageBytes : pageBytes;
  const enlarged = unitBytes === hugePageBytes && length >= enlargedBytesMin;
  const memory = new Uint8Array(Math.max(length + unitBytes, enlarged ? freshBytesMin : 0));
  const start = (unitBytes - addon.offsetIn(memory, unitBytes)) % unitBytes;
  const pages = memory.subarray(start, start + length);
  // A hint: without it the kernel uses small pages.
  if (unitBytes === hugePageBytes) addon.adviseHugePages(pages);
  return pages;
}

/** The memory of the machine, or the limit of the container, in bytes. */
export function memoryBytesMax(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
