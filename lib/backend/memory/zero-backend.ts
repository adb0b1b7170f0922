import type { Backend, Bytes, Extent, Slice, ThreadSource } from '../backend.js';
import { checkDiskSize } from '../size.js';
import { zeroPage, zeroPageBytes, zeros } from '../zeros.js';

/**
 * A disk of `size` zeros that cannot be written: a new memory disk that is
 * opened read-only. It takes no memory.
 *
 * @throws NbdError `NBDCORK_BAD_SIZE`.
 */
export class ZeroBackend implements Backend {
  readonly multiConn = true;
  readonly readsInPlace = true;
  readonly size: number;
  readonly threadSource: ThreadSource;

  constructor(size: number) {
    checkDiskSize(size);
    this.size = size;
    this.threadSource = { kind: 'zeros', size };
  }

  read(_offset: number, length: number): Bytes {
    return zeros(length);
  }

  readSlice(_offset: number, length: number, slice: Slice): boolean {
    if (length > zeroPageBytes) return false;
    slice.memory = zeroPage;
    slice.start = 0;
    return true;
  }

  cache(): void {
    // The zeros are in memory already.
  }

  extents(offset: number): readonly Extent[] {
    return [{ length: this.size - offset, hole: true, zero: true }];
  }
}
