/**
 * Long buffers that are used again, instead of being left to the garbage
 * collector, which may let them take memory for as long as nothing else is
 * allocated.
 */
import { addon } from '../native/load.js';
import { allocatePages } from './pages.js';

/** Shorter buffers are not pooled. */
export const pooledBytesMin = 2 ** 16;
const pooledBytesMax = 2 ** 26;
/** An idle buffer keeps its pages for this long, or twice as long. */
const idleMs = 500;

interface IdleBuffer {
  readonly memory: Uint8Array;
  /** Rounds of the timer that it has been idle. */
  rounds: number;
}

export interface BufferPoolOptions {
  /** Bytes of idle buffers that are kept, of which most have given their pages back. */
  readonly idleBytesMax?: number;
  /** madvise(MADV_DONTNEED). Without it, idle buffers are left to the garbage collector. */
  readonly discardPages?: ((bytes: Uint8Array) => number) | undefined;
}

export class BufferPool {
  /** Idle buffers by the binary logarithm of their size, the last used one last. */
  private readonly idle = new Map<number, IdleBuffer[]>();
  /** The whole memory of each buffer that is in use. */
  private readonly lent = new WeakMap<ArrayBufferLike, Uint8Array>();
  private readonly idleBytesMax: number;
  private readonly discardPages: ((bytes: Uint8Array) => number) | undefined;
  private idleBytes = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: BufferPoolOptions = {}) {
    this.idleBytesMax = options.idleBytesMax ?? 2 ** 28;
    this.discardPages = options.discardPages;
  }

  /** `length` bytes with any content. Long ones begin at a page. */
  take(length: number): Uint8Array {
    if (length < pooledBytesMin || length > pooledBytesMax) return Buffer.allocUnsafeSlow(length);
    const size = sizeClass(length);
    const idle = this.idle.get(size)?.pop();
    if (idle !== undefined) this.idleBytes -= idle.memory.length;
    const memory = idle?.memory ?? allocatePages(2 ** size, false);
    this.lent.set(memory.buffer, memory);
    return memory.length === length ? memory : memory.subarray(0, length);
  }

  /** Gets a buffer back that `take` has returned. Others, also those that it has already, are ignored. */
  release(buffer: Uint8Array): void {
    if (buffer.length < pooledBytesMin) return;
    const memory = this.lent.get(buffer.buffer);
    if (memory === undefined) return;
    this.lent.delete(memory.buffer);
    if (this.idleBytes + memory.length > this.idleBytesMax) {
      this.discardPages?.(memory);
      return;
    }
    const size = sizeClass(memory.length);
    const idle = this.idle.get(size) ?? [];
    this.idle.set(size, idle);
    idle.push({ memory, rounds: 0 });
    this.idleBytes += memory.length;
    this.timer ??= setInterval(() => {
      this.discardIdle();
    }, idleMs).unref();
  }

  private discardIdle(): void {
    let waiting = 0;
    for (const [size, buffers] of this.idle) {
      for (const buffer of buffers) {
        buffer.rounds++;
        if (buffer.rounds === 2) this.discardPages?.(buffer.memory);
        else if (buffer.rounds < 2) waiting++;
      }
      if (this.discardPages === undefined) this.drop(size, buffers);
    }
    if (waiting > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private drop(size: number, buffers: IdleBuffer[]): void {
    const kept = buffers.filter(({ rounds }) => rounds < 2);
    this.idleBytes -= (buffers.length - kept.length) * 2 ** size;
    this.idle.set(size, kept);
  }
}

function sizeClass(length: number): number {
  return Math.ceil(Math.log2(length));
}

/** The buffers of payloads, shared by all servers and disks of this thread. */
export const payloadPool = new BufferPool({ discardPages: addon?.discardPages });
