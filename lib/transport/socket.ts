/**
 * The part that the socket strategies share. They send on the descriptor. What
 * the kernel does not accept waits here, and is sent when the socket is
 * writable again: a little of it goes through the stream, whose callback says
 * so. Bytes stay in order because the descriptor is used only while the stream
 * has nothing queued.
 *
 * The peer gets each block of a disk as it was at one moment, although its
 * memory may change while it waits: where a send ended inside a block, the
 * rest of it is copied at once.
 *
 * Ranges of mapped files wait as ranges. They are sent only while their pages are
 * resident: otherwise the event loop would wait for the device.
 */
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../errors.js';
import type { NativeAddon } from '../native/addon.js';
import { BaseTransport } from './base.js';
import { absentRange, readyBytes, replaceStart, splitBatch } from './mapped-batch.js';
import { releaseAll, type Batch } from './pending-pieces.js';

/** Errors after which sending succeeds later: the stream waits until the socket is writable. */
const transientErrors: ReadonlySet<number> = new Set([
  -constants.errno.EAGAIN,
  -constants.errno.ENOBUFS,
  -constants.errno.ENOMEM,
]);

/** Blocks begin at multiples of it in memory: a page. */
const blockBytes = 4096;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export abstract class SocketTransport extends BaseTransport {
  protected readonly addon: NativeAddon;
  protected readonly fd: number;
  /** The socket accepts nothing: what is to be sent waits, in `waiting`. */
  private blocked = false;
  private readonly waiting: Batch[] = [];
  private waitingBytes = 0;
  /** A caller was told to wait for 'drain'. */
  private drainWanted = false;
  private sentWaiters: Waiter[] = [];
  private readonly writableAgain = (error?: Error | null): void => {
    if (error) this.dropWaiting();
    else this.resume();
  };

  constructor(socket: Socket, fd: number, addon: NativeAddon) {
    super(socket);
    this.fd = fd;
    this.addon = addon;
    socket.once('close', () => {
      this.dropWaiting();
    });
  }

  override get queuedBytes(): number {
    return super.queuedBytes + this.waitingBytes;
  }

  override get needsDrain(): boolean {
    const waits = this.blocked && !this.stream.destroyed;
    if (waits) this.drainWanted = true;
    return waits || super.needsDrain;
  }

  override sent(): Promise<void> {
    this.flush();
    if (!this.blocked) return super.sent();
    return new Promise((resolve, reject) => {
      this.sentWaiters.push({ resolve, reject });
    });
  }

  /** Send all pieces. Returns how many bytes the kernel accepted, or `-errno` where it accepted none. */
  protected abstract sendPieces(more: boolean): number;

  protected override messageEnded(): void {
    this.sendPending(false);
  }

  protected override sendPending(more: boolean): void {
    // Once the socket is destroyed, its descriptor may belong to another file.
    if (!this.ensureWritable()) return;
    if (!this.blocked && this.stream.writableLength > 0) {
      this.counters.fallbacks++;
      this.waitUntilWritable(new Uint8Array(0));
    }
    if (this.blocked) this.enqueue(this.takeBatch());
    else this.sendNow(more, true);
  }

  protected override acceptsMore(): boolean {
    if (!this.blocked) return super.acceptsMore();
    this.drainWanted = true;
    return false;
  }

  protected override ensureWritable(): boolean {
    if (super.ensureWritable()) return true;
    this.dropWaiting();
    return false;
  }

  protected override endStream(): void {
    if (this.waiting.length === 0) super.endStream();
  }

  protected override handOver(): void {
    this.stream.cork();
    for (const batch of this.waiting.splice(0)) {
      this.waitingBytes -= batch.bytes;
      const ready = readyBytes(batch, Infinity) === batch.bytes;
      this.loadBatch(batch);
      try {
        if (!ready) throw endedBeforeRead();
        for (let index = 0; index < this.pieceCount; index++) {
          this.stream.write(Buffer.from(this.pieceAt(index)));
        }
        this.clear();
      } catch (error) {
        this.failWith(error);
      }
    }
    this.unloadBatch();
    this.stream.uncork();
  }

  /** One send(2) for each piece: the last with MSG_MORE where `moreAfter`, the others where `moreBetween`. */
  protected sendEach(moreBetween: boolean, moreAfter: boolean): number {
    const last = this.pieceCount - 1;
    let sentBytes = 0;
    for (let index = 0; index <= last; index++) {
      const piece = this.pieceAt(index);
      const result = this.addon.send(this.fd, piece, index < last ? moreBetween : moreAfter);
      this.counters.sends++;
      if (result < 0) return sentBytes > 0 ? sentBytes : result;
      sentBytes += result;
      if (result < piece.byteLength) return sentBytes;
    }
    return sentBytes;
  }

  /**
   * Without `retries` the rest of a short send waits: a socket that has just
   * become writable accepts no more, and asking costs a system call.
   */
  private sendNow(more: boolean, retries: boolean): void {
    let sentBytes = this.sendPieces(more);
    if (!retries && sentBytes > 0 && sentBytes < this.pendingBytes) {
      this.counters.shortSends++;
      this.removeSent(sentBytes);
      this.block();
      return;
    }
    // An active reader frees buffer space meanwhile, so the rest of a short send
    // is sent again, until the kernel accepts nothing.
    while (sentBytes > 0 && sentBytes < this.pendingBytes) {
      this.counters.shortSends++;
      this.removeSent(sentBytes);
      sentBytes = this.sendPieces(more);
    }
    if (sentBytes === this.pendingBytes) {
      this.clear();
    } else if (transientErrors.has(sentBytes)) {
      this.counters.shortSends++;
      this.block();
    } else {
      this.fail(sentBytes);
    }
  }

  /** The kernel accepts nothing: the rest of the block that is being sent is copied, and goes first. */
  private block(): void {
    this.counters.fallbacks++;
    let copy: Uint8Array;
    try {
      copy = this.firstBlock(0, blockBytes);
    } catch (error) {
      this.failWith(error);
      return;
    }
    if (copy.length === this.pendingBytes) {
      this.clear();
    } else {
      this.removeSent(copy.length);
      this.putFirst(this.takeBatch());
    }
    this.waitUntilWritable(copy);
  }

  private waitUntilWritable(bytes: Uint8Array): void {
    this.blocked = true;
    this.counters.streamWrites++;
    this.stream.write(bytes, this.writableAgain);
  }

  private enqueue(batch: Batch): void {
    this.waiting.push(batch);
    this.waitingBytes += batch.bytes;
  }

  private putFirst(...batches: readonly Batch[]): void {
    this.waiting.unshift(...batches);
    for (const { bytes } of batches) this.waitingBytes += bytes;
  }

  /** Send what waits, in order, then what has been added since. */
  private resume(): void {
    this.blocked = false;
    if (this.pieceCount > 0) this.enqueue(this.takeBatch());
    for (let batch = this.nextReady(); batch !== undefined; batch = this.nextReady()) {
      this.loadBatch(batch);
      if (this.ensureWritable()) this.sendNow(false, false);
      this.unloadBatch();
    }
    if (this.isBlocked()) return;
    for (const { resolve } of this.sentWaiters.splice(0)) resolve();
    if (this.isEnded) this.endStream();
    if (!this.drainWanted) return;
    this.drainWanted = false;
    this.stream.emit('drain');
  }

  /** What can be sent at once of what waits. Undefined also while its pages are being read. */
  private nextReady(): Batch | undefined {
    const batch = this.nextWaiting();
    if (batch === undefined || batch.mapped.length === 0) return batch;
    const ready = readyBytes(batch);
    if (ready === batch.bytes) return batch;
    if (ready > 0) {
      const [front, rest] = splitBatch(batch, ready);
      this.putFirst(rest);
      return front;
    }
    void this.readAbsent(batch);
    return undefined;
  }

  private async readAbsent(batch: Batch): Promise<void> {
    const range = absentRange(batch);
    if (range === undefined) return;
    const { memory, start, length } = range;
    this.blocked = true;
    this.putFirst(batch);
    let bytes: Uint8Array;
    try {
      bytes = await memory.read(start, length);
    } catch (error) {
      this.failWith(error);
      return;
    }
    const release = (): void => {
      memory.releaseRead(bytes);
    };
    if (this.waiting[0] === batch) {
      this.waiting.shift();
      this.waitingBytes -= batch.bytes;
      this.putFirst(...replaceStart(batch, bytes, { release }));
      this.resume();
    } else {
      // The connection was closed meanwhile, which has released the leases of the batch.
      release();
    }
  }

  private nextWaiting(): Batch | undefined {
    if (this.blocked) return undefined;
    const batch = this.waiting.shift();
    this.waitingBytes -= batch?.bytes ?? 0;
    return batch;
  }

  /** Asked anew: sending changes it. */
  private isBlocked(): boolean {
    return this.blocked;
  }

  private dropWaiting(): void {
    for (const { leases } of this.waiting.splice(0)) releaseAll(leases);
    this.waitingBytes = 0;
    this.dropPending();
    const waiters = this.sentWaiters.splice(0);
    if (waiters.length === 0) return;
    const error = this.stream.errored ?? closedBeforeSent();
    for (const { reject } of waiters) reject(error);
  }

  private fail(errno: number): void {
    const code = getSystemErrorName(errno);
    const text =
      errno === -constants.errno.EFAULT
        ? 'The file has become shorter while a reply was being sent.'
        : `Sending failed with ${code}. The connection is closed.`;
    this.failWith(new NbdError(code, text));
  }
}

function endedBeforeRead(): NbdError {
  return new NbdError('EPIPE', 'The peer ended the connection while a reply waited for the disk.');
}

function closedBeforeSent(): NbdError {
  return new NbdError('EPIPE', 'The connection was closed before everything was sent.');
}
