import { constants } from 'node:os';
import { fallocateMode } from '../../native/addon.js';
import { SerialQueue } from '../serial-queue.js';
import type { OpenFile } from './io/descriptor.js';
import { failures, systemError } from './io/errors.js';
import type { Fallocate } from './io/file-io.js';

const { keepSize, punchHole, zeroRange } = fallocateMode;

/** Results of a system, a file system or a device that lacks the operation. */
const unsupported = failures('EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'ENODEV');

/**
 * Block devices accept only ranges of whole blocks of their own. Larger blocks
 * than these are rare: on such a device zeros are written.
 */
const blockBytes = 4096;

/**
 * The longest range of a block device in one call. Where the device cannot zero
 * by itself the kernel writes the zeros, and the call occupies a thread until it
 * has written them.
 */
const deviceSliceBytes = 64 * 2 ** 20;

/** Bytes from `start` up to `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Turns ranges of a file into holes or zeros without writing them, by
 * fallocate, where the addon, the system and the file system can. Remembers
 * which operations they lack.
 */
export class RangeClearer {
  private readonly file: OpenFile;
  private readonly fallocate: Fallocate | undefined;
  private readonly requireOpen: () => void;
  private readonly missing = new Set<number>();
  /** Slices of ranges of a block device. */
  private readonly slices = new SerialQueue();

  /** `requireOpen` throws once the disk is closed, which ends a long operation early. */
  constructor(file: OpenFile, fallocate: Fallocate | undefined, requireOpen: () => void) {
    this.file = file;
    this.fallocate = fallocate;
    this.requireOpen = requireOpen;
  }

  /** False once punching holes is known not to work. */
  get canPunch(): boolean {
    return this.fallocate !== undefined && !this.missing.has(punchHole);
  }

  /** Punches holes into the whole blocks of a range, where that is possible. @throws NbdError */
  async trim(offset: number, length: number): Promise<void> {
    // "NBD_CMD_TRIM": the server "MAY round offset up and length down".
    const { start, end } = this.wholeBlocks(offset, length);
    if (start < end) await this.clear(punchHole, start, end);
  }

  /**
   * Zeros a range, on a block device the whole blocks of it, as far as that is
   * faster than writing. Returns the range that was zeroed, or undefined where
   * nothing was.
   *
   * @throws NbdError
   */
  async zero(
    offset: number,
    length: number,
    { noHole, fast }: { readonly noHole: boolean; readonly fast: boolean },
  ): Promise<Range | undefined> {
    const { blockDevice } = this.file;
    const range = blockDevice
      ? this.wholeBlocks(offset, length)
      : { start: offset, end: offset + length };
    if (range.start >= range.end) return undefined;
    const punched = noHole ? range.start : await this.clear(punchHole, range.start, range.end);
    if (punched > range.start) return { start: range.start, end: punched };
    // Where a device cannot zero by itself the kernel writes the zeros: not faster.
    if (fast && blockDevice) return undefined;
    const zeroed = await this.clear(zeroRange, range.start, range.end);
    return zeroed > range.start ? { start: range.start, end: zeroed } : undefined;
  }

  /** Returns where the cleared range ends: `start` where the operation is missing. */
  private async clear(mode: number, start: number, end: number): Promise<number> {
    // Checked before the queue: the caller need not wait to learn it.
    if (this.fallocate === undefined || this.missing.has(mode)) return start;
    if (!this.file.blockDevice) return (await this.call(mode, start, end)) ? end : start;
    for (let at = start; at < end; at += deviceSliceBytes) {
      // One at a time for all requests, which leaves threads for other work.
      const done = await this.slices.run(() => {
        this.requireOpen();
        return this.call(mode, at, Math.min(end, at + deviceSliceBytes));
      });
      if (!done) return at;
    }
    return end;
  }

  /** False where the operation is missing. */
  private async call(mode: number, start: number, end: number): Promise<boolean> {
    if (this.fallocate === undefined || this.missing.has(mode)) return false;
    const { fd, blockDevice } = this.file;
    let result: number;
    do {
      result = await this.fallocate(fd, mode | keepSize, start, end - start);
    } while (result === -constants.errno.EINTR);
    if (result >= 0) return true;
    if (unsupported.has(result)) {
      this.missing.add(mode);
      return false;
    }
    // A device of larger blocks than `blockBytes`. Another range may consist of whole ones.
    if (blockDevice && result === -constants.errno.EINVAL) return false;
    throw systemError(result, `clear ${end - start} bytes at ${start} of the disk`);
  }

  private wholeBlocks(offset: number, length: number): Range {
    const end = offset + length;
    return {
      start: Math.ceil(offset / blockBytes) * blockBytes,
      // The end of the disk ends its last block.
      end: end === this.file.size ? end : Math.floor(end / blockBytes) * blockBytes,
    };
  }
}
