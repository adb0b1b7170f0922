/**
 * Buffers that are used again, instead of being left to the garbage collector:
 * it may let them take memory for as long as nothing else is allocated, and
 * takes a third of the processor time of a server that allocates for each request.
 */
import { addon } from '../native/load.js';
import { allocatePages } from './pages.js';

/** A page: the kernel copies aligned memory faster, and direct I/O needs it. */
const slotBytesMin = 2 ** 12;
/** Longer buffers are not pooled. */
const pooledBytesMax = 2 ** 26;
/** Shorter buffers share memory of this length. */
const arenaBytes = 2 ** 20;
/** An arena of which nothing is lent keeps its pages for this long, or twice as long. */
const idleMs = 500;

export interface BufferPoolOptions {
  /** Bytes of idle arenas that are kept, of which most have given their pages back. */
  readonly idleBytesMax?: number;
  /** madvise(MADV_DONTNEED). Without it, idle arenas are left to the garbage collector. */
  readonly discardPages?: ((bytes: Uint8Array) => number) | undefined;
}

/** Memory of slots of one length, each of which is lent as a whole. */
class Arena {
  readonly memory: Uint8Array;
  readonly slotBytes: number;
  /** Rounds of the timer that nothing was lent. */
  idleRounds = 0;
  private readonly views: Uint8Array[] = [];
  /** The slots that are not lent, of which the first `freeCount` count; the last one is lent next. */
  private readonly free: Int32Array;
  private freeCount: number;
  private readonly lent: Uint8Array;

  constructor(bytes: number, slotBytes: number) {
    const slots = bytes / slotBytes;
    this.memory = allocatePages(bytes, false);
    this.slotBytes = slotBytes;
    this.free = Int32Array.from({ length: slots }, (_, index) => slots - 1 - index);
    this.freeCount = slots;
    this.lent = new Uint8Array(slots);
    for (let at = 0; at < bytes; at += slotBytes) {
      this.views.push(this.memory.subarray(at, at + slotBytes));
    }
  }

  get full(): boolean {
    return this.freeCount === 0;
  }

  get idle(): boolean {
    return this.freeCount === this.views.length;
  }

  take(length: number): Uint8Array {
    const slot = this.free[--this.freeCount] ?? 0;
    this.lent[slot] = 1;
    const view = this.views[slot] ?? this.memory;
    return length === view.length ? view : view.subarray(0, length);
  }

  /** False for a slot that is not lent. */
  release(buffer: Uint8Array): boolean {
    const slot = Math.floor((buffer.byteOffset - this.memory.byteOffset) / this.slotBytes);
    if (this.lent[slot] !== 1) return false;
    this.lent[slot] = 0;
    this.free[this.freeCount++] = slot;
    return true;
  }
}

export class BufferPool {
  private readonly arenas = new Map<ArrayBufferLike, Arena>();
  /** Arenas with free slots, by the binary logarithm of the length of their slots; the last is used next. */
  private readonly available: Arena[][] = [];
  private readonly idleBytesMax: number;
  private readonly discardPages: ((bytes: Uint8Array) => number) | undefined;
  private idleBytes = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: BufferPoolOptions = {}) {
    this.idleBytesMax = options.idleBytesMax ?? 2 ** 28;
    this.discardPages = options.discardPages;
  }

  /** `length` bytes with any content, which begin at a page. @throws RangeError where memory is short. */
  take(length: number): Uint8Array {
    if (length > pooledBytesMax) return allocatePages(length, false);
    const sizeClass = classOf(length);
    const arenas = (this.available[sizeClass] ??= []);
    const arena = arenas.at(-1) ?? this.addArena(arenas, 2 ** sizeClass);
    if (arena.idle) this.idleBytes -= arena.memory.length;
    const buffer = arena.take(length);
    if (arena.full) arenas.pop();
    return buffer;
  }

  /** Gets a buffer back that `take` has returned. Others, also those that it has already, are ignored. */
  release(buffer: Uint8Array): void {
    const arena = this.arenas.get(buffer.buffer);
    if (arena === undefined) return;
    const wasFull = arena.full;
    if (!arena.release(buffer)) return;
    const arenas = (this.available[classOf(arena.slotBytes)] ??= []);
    if (wasFull) arenas.push(arena);
    if (!arena.idle) return;
    this.idleBytes += arena.memory.length;
    if (this.idleBytes > this.idleBytesMax) this.drop(arena);
    else this.watch(arena);
  }

  private addArena(arenas: Arena[], slotBytes: number): Arena {
    const arena = new Arena(Math.max(arenaBytes, slotBytes), slotBytes);
    this.arenas.set(arena.memory.buffer, arena);
    arenas.push(arena);
    this.idleBytes += arena.memory.length;
    return arena;
  }

  private watch(arena: Arena): void {
    arena.idleRounds = 0;
    this.timer ??= setInterval(() => {
      this.discardIdle();
    }, idleMs).unref();
  }

  private discardIdle(): void {
    let waiting = 0;
    for (const arena of this.arenas.values()) {
      if (!arena.idle) continue;
      arena.idleRounds++;
      if (arena.idleRounds < 2) waiting++;
      else if (arena.idleRounds === 2 && this.discardPages !== undefined) {
        this.discardPages(arena.memory);
      } else if (this.discardPages === undefined) this.drop(arena);
    }
    if (waiting > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Leaves an idle arena to the garbage collector. */
  private drop(arena: Arena): void {
    this.idleBytes -= arena.memory.length;
    this.arenas.delete(arena.memory.buffer);
    const arenas = this.available[classOf(arena.slotBytes)] ?? [];
    arenas.splice(arenas.indexOf(arena), 1);
    this.discardPages?.(arena.memory);
  }
}

/** The binary logarithm of the length of the slots for `length` bytes. */
function classOf(length: number): number {
  return 32 - Math.clz32(Math.max(length, slotBytesMin) - 1);
}

/** The buffers of payloads, shared by all servers and disks of this thread. */
export const payloadPool = new BufferPool({ discardPages: addon?.discardPages });
