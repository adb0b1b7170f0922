/**
 * Ranges of a file that become holes or zeros without being written: fallocate
 * where the addon, the system and the file system have it.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../../errors.js';
import { SerialQueue } from '../serial-queue.js';
import { fallocateMode, type NativeAddon } from '../../native/addon.js';

const { keepSize, punchHole, zeroRange } = fallocateMode;

/** What a system, a file system or a device that lacks an operation answers. */
const unsupported: ReadonlySet<number> = new Set(
  [
    constants.errno.EOPNOTSUPP,
    constants.errno.ENOSYS,
    constants.errno.ENOTTY,
    constants.errno.ENODEV,
  ].map((number) => -number),
);

/**
 * Block devices refuse ranges that are not made of their own blocks. Larger
 * blocks than this are rare, and such a device is merely written to.
 */
const alignment = 4096;

/**
 * What a block device is asked to zero or to discard in one call. Where it cannot
 * do so itself the kernel writes zeros, and a thread of libuv's pool, which all
 * disks share, waits for all of them.
 */
const deviceSliceBytes = 64 * 2 ** 20;

/** Bytes from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** An open regular file or block device. */
export interface OpenFile {
  readonly fd: number;
  readonly size: number;
  readonly blockDevice: boolean;
}

/** Makes holes and zeros, and remembers what cannot be done here. */
export class Space {
  private readonly file: OpenFile;
  private readonly fallocate: NativeAddon['fallocate'] | undefined;
  private readonly requireOpen: () => void;
  private readonly missing = new Set<number>();
  /** Slices of ranges of a block device. */
  private readonly slices = new SerialQueue();

  /** `requireOpen` throws where the disk was closed, which cuts long work short. */
  constructor(
    file: OpenFile,
    fallocate: NativeAddon['fallocate'] | undefined,
    requireOpen: () => void,
  ) {
    this.file = file;
    this.fallocate = fallocate;
    this.requireOpen = requireOpen;
  }

  /** Whether punching holes may work: false once it was found not to. */
  get canPunch(): boolean {
    return this.fallocate !== undefined && !this.missing.has(punchHole);
  }

  /** Punches out the whole blocks of a range, where that is possible. */
  async trim(offset: number, length: number): Promise<void> {
    // "NBD_CMD_TRIM": the server "MAY round offset up and length down".
    const { start, end } = this.wholeBlocks(offset, length);
    if (start < end) await this.attempt(punchHole, start, end);
  }

  /**
   * Zeros a range, or the whole blocks of it on a block device, as far as there is
   * a quick way. The range that is zero now, or undefined where nothing was done.
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
    const punched = noHole ? range.start : await this.attempt(punchHole, range.start, range.end);
    if (punched > range.start) return { start: range.start, end: punched };
    // The kernel writes the zeros itself where a device cannot: no gain in speed.
    if (fast && blockDevice) return undefined;
    const zeroed = await this.attempt(zeroRange, range.start, range.end);
    return zeroed > range.start ? { start: range.start, end: zeroed } : undefined;
  }

  /** The end of what was done: `start` where there is no such operation here. */
  private async attempt(mode: number, start: number, end: number): Promise<number> {
    // What is not possible is said at once, whatever others wait for.
    if (this.fallocate === undefined || this.missing.has(mode)) return start;
    if (!this.file.blockDevice) return (await this.call(mode, start, end)) ? end : start;
    for (let at = start; at < end; at += deviceSliceBytes) {
      // One at a time for all requests, which leaves threads of the pool for other work.
      const done = await this.slices.run(() => {
        this.requireOpen();
        return this.call(mode, at, Math.min(end, at + deviceSliceBytes));
      });
      if (!done) return at;
    }
    return end;
  }

  /** True if done. */
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
    // A device of blocks larger than `alignment`; another range may fit them.
    if (blockDevice && result === -constants.errno.EINVAL) return false;
    const code = getSystemErrorName(result);
    throw new NbdError(
      code,
      `Could not clear ${end - start} bytes at ${start} of the disk: ${code}.`,
    );
  }

  private wholeBlocks(offset: number, length: number): Range {
    const end = offset + length;
    return {
      start: Math.ceil(offset / alignment) * alignment,
      // The end of the disk ends its last block.
      end: end === this.file.size ? end : Math.floor(end / alignment) * alignment,
    };
  }
}
