import { NbdError } from '../../errors.js';
import { payloadPool } from '../../memory/buffer-pool.js';
import type { MappedMemory } from '../../memory/mapped-memory.js';
import type { FileMapping, NativeAddon } from '../../native/addon.js';

/** The part of the addon that mapped files need. */
export type MappingNative = Pick<
  NativeAddon,
  'createMapping' | 'refreshMapping' | 'closeMapping' | 'cachedPages' | 'residentPages'
>;

/** Undefined without the addon. */
export function mappingOf(native: Partial<MappingNative>): MappingNative | undefined {
  const { createMapping, refreshMapping, closeMapping, cachedPages, residentPages } = native;
  return createMapping && refreshMapping && closeMapping && cachedPages && residentPages
    ? { createMapping, refreshMapping, closeMapping, cachedPages, residentPages }
    : undefined;
}

/** What is not resident is read by it, on another thread. */
interface Reading {
  /** Fills `bytes` from `position` of the file on. */
  read(bytes: Uint8Array, position: number): Promise<Uint8Array>;
}

const pageBytes = 4096;
/** What is asked about at once: one table of pages has entries for it. */
const windowBytes = 2 ** 21;
/** How long an answer holds: asking costs as much as a short read, and pages leave the cache seldom. */
const validMs = 20;
/**
 * How long a window counts as read completely: later, its pages may have left
 * the cache and be on their way back from a disk that hangs.
 */
const completeMs = 200;
/** Windows whose answers are kept; those of a larger disk replace each other. */
const windowsKept = 2 ** 12;
/**
 * Tables of pages that the mapping may take, of 4 KiB for each window: the
 * mapping is refreshed after so many windows have been sent from.
 */
const windowsMappedMax = 2 ** 12;

const State = { absent: 0, complete: 1 } as const;
type State = (typeof State)[keyof typeof State];

/**
 * A file whose cached parts are sent from a mapping, without a copy in this
 * process. What is not cached must not be sent from it: the kernel would read
 * the device while everything else waits.
 */
export class MappedFile implements MappedMemory {
  readonly mapping: FileMapping;
  /** Bytes of the file that are mapped. */
  readonly length: number;
  private readonly native: MappingNative;
  private readonly fd: number;
  private readonly io: Reading;
  private readonly windows = new Int32Array(windowsKept).fill(-1);
  private readonly states = new Uint8Array(windowsKept);
  private readonly askedMs = new Float64Array(windowsKept);
  private mappedWindows = 0;
  private closed = false;

  private constructor(
    native: MappingNative,
    fd: number,
    mapping: FileMapping,
    length: number,
    io: Reading,
  ) {
    this.native = native;
    this.fd = fd;
    this.mapping = mapping;
    this.length = length;
    this.io = io;
  }

  /** Undefined where the system or the file system lacks what it needs. */
  static open(
    native: MappingNative,
    fd: number,
    length: number,
    io: Reading,
  ): MappedFile | undefined {
    const mappable = length > 0 && native.cachedPages(fd, 0, pageBytes) >= 0;
    const mapping = mappable ? native.createMapping(fd, length) : -1;
    if (typeof mapping === 'number') return undefined;
    return new MappedFile(native, fd, mapping, length, io);
  }

  /** Whether all of a range can be sent without waiting for a device. */
  isCached(offset: number, length: number): boolean {
    const end = offset + length;
    if (end > this.length) return false;
    const now = Date.now();
    const last = Math.floor((end - 1) / windowBytes);
    for (let window = Math.floor(offset / windowBytes); window <= last; window++) {
      if (!this.isComplete(window, now)) return false;
    }
    return true;
  }

  isResident(start: number, length: number): boolean {
    const first = start - (start % pageBytes);
    return this.ask(first, start + length - first, false);
  }

  async read(start: number, length: number): Promise<Uint8Array> {
    if (this.closed) throw new NbdError('ESHUTDOWN', 'The disk is closed. Open it again.');
    return this.io.read(payloadPool.take(length), start);
  }

  releaseRead(bytes: Uint8Array): void {
    payloadPool.release(bytes);
  }

  /** Nothing can be sent from it any more. */
  close(): void {
    this.closed = true;
    this.native.closeMapping(this.mapping);
  }

  private isComplete(window: number, now: number): boolean {
    const index = window % windowsKept;
    const known = this.windows[index] === window;
    const asked = this.askedMs[index] ?? 0;
    if (known && now - asked < validMs && now >= asked)
      return this.states[index] === State.complete;
    const wasComplete = known && this.states[index] === State.complete;
    const start = window * windowBytes;
    const length = Math.min(windowBytes, this.length - start);
    const complete = this.ask(
      start,
      length,
      wasComplete && now >= asked && now - asked < completeMs,
    );
    this.windows[index] = window;
    this.states[index] = complete ? State.complete : State.absent;
    this.askedMs[index] = now;
    if (complete && !wasComplete) this.countWindow();
    return complete;
  }

  /**
   * cachestat(2) is fast, but counts pages that are being read, for which a disk
   * that hangs would be waited for; mincore(2) does not.
   */
  private ask(start: number, length: number, known: boolean): boolean {
    const { native, fd, mapping } = this;
    const pages = Math.ceil(length / pageBytes);
    if (native.cachedPages(fd, start, length) < pages) return false;
    return known || native.residentPages(mapping, start, length) === pages;
  }

  private countWindow(): void {
    if (++this.mappedWindows < windowsMappedMax) return;
    this.mappedWindows = 0;
    this.native.refreshMapping(this.mapping, this.fd);
  }
}
