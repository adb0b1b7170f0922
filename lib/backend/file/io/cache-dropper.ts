/**
 * Takes what was read and written out of the system's cache again, so that a copy
 * of terabytes leaves the data of other programs there.
 */
import { isPromise, type MaybePromise } from '../../maybe-promise.js';

/** A range that leaves the cache in one step, aligned to its length. */
export const windowBytes = 2 ** 23;
/** Windows that have been used in part. Of more, the least recently used one leaves the cache. */
const partialWindowsMax = 16;
/**
 * Windows that wait to leave the cache. With more, writes wait too: otherwise a
 * client that is faster than the disk fills the cache.
 */
const waitingWindowsMax = 8;

/**
 * Writes the range to the device, waits for it, and takes it out of the cache; a
 * length of 0 is all that follows. Never rejects.
 */
export type DropRange = (position: number, length: number) => Promise<unknown>;

export class CacheDropper {
  private readonly dropRange: DropRange;
  /** Bytes that were transferred, by the number of the window; the least recently used first. */
  private readonly partial = new Map<number, number>();
  private readonly waiting = new Set<number>();
  private dropping: Promise<void> | undefined;
  private caughtUp: (() => void)[] = [];

  constructor(dropRange: DropRange) {
    this.dropRange = dropRange;
  }

  /** These bytes have been transferred. */
  used(offset: number, length: number): void {
    const end = offset + length;
    for (let position = offset; position < end;) {
      const window = Math.floor(position / windowBytes);
      const next = Math.min(end, (window + 1) * windowBytes);
      this.add(window, next - position);
      position = next;
    }
  }

  afterRead<T>(read: MaybePromise<T>, offset: number, length: number): MaybePromise<T> {
    if (!isPromise(read)) {
      this.used(offset, length);
      return read;
    }
    return read.then((bytes) => {
      this.used(offset, length);
      return bytes;
    });
  }

  async afterWrite(write: Promise<void>, offset: number, length: number): Promise<void> {
    await write;
    this.used(offset, length);
    if (this.waiting.size <= waitingWindowsMax) return;
    await new Promise<void>((resolve) => {
      this.caughtUp.push(resolve);
    });
  }

  /** Drops the windows that were used in part, too. */
  async dropAll(): Promise<void> {
    for (const window of this.partial.keys()) this.waiting.add(window);
    this.partial.clear();
    if (this.waiting.size > 0) this.dropping ??= this.drop();
    await this.dropping;
  }

  /** Drops the whole file, also what the system has read ahead. Nothing may be in progress. */
  async close(): Promise<void> {
    this.partial.clear();
    this.waiting.clear();
    await this.dropping;
    await this.dropRange(0, 0);
  }

  private add(window: number, bytes: number): void {
    const { partial } = this;
    const sum = (partial.get(window) ?? 0) + bytes;
    partial.delete(window);
    if (sum >= windowBytes) {
      this.enqueue(window);
      return;
    }
    partial.set(window, sum);
    if (partial.size <= partialWindowsMax) return;
    const [oldest = window] = partial.keys();
    partial.delete(oldest);
    // Requests all over the disk would otherwise be as slow as writes of single blocks.
    if (this.waiting.size < waitingWindowsMax) this.enqueue(oldest);
  }

  private enqueue(window: number): void {
    this.waiting.add(window);
    this.dropping ??= this.drop();
  }

  /** One window at a time, which leaves threads for requests. */
  private async drop(): Promise<void> {
    for (const window of this.waiting) {
      this.waiting.delete(window);
      await this.dropRange(window * windowBytes, windowBytes);
      if (this.waiting.size > waitingWindowsMax) continue;
      for (const resolve of this.caughtUp.splice(0)) resolve();
    }
    this.dropping = undefined;
  }
}
