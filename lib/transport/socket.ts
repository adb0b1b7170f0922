/**
 * What the socket strategies share: raw sends on the descriptor while the
 * stream has nothing queued. What the kernel does not take stays here, but for
 * its beginning: that goes through the stream, whose completion tells that the
 * socket is writable again. So order is kept, nothing is polled, and payloads
 * are neither copied nor cut into chunks for the stream. Callers: Outbox.
 * Calls: the strategy's `transmit`, the stream.
 */
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../errors.js';
import type { NativeAddon } from '../native/addon.js';
import { Outbox } from './outbox.js';

/** Errors that say "not now": the stream waits until the socket is writable. */
const transientErrors: ReadonlySet<number> = new Set([
  -constants.errno.EAGAIN,
  -constants.errno.ENOBUFS,
  -constants.errno.ENOMEM,
]);

/** What the stream is given when the kernel takes no more: little, so that the rest stays in place. */
const probeBytesMax = 8 * 1024;

export abstract class SocketOutbox extends Outbox {
  protected readonly addon: NativeAddon;
  protected readonly fd: number;
  /** Writes of ours that the stream has not completed. */
  private handedOver = 0;
  private owesDrain = false;
  private readonly writeCompleted = (): void => {
    this.handedOver--;
    if (this.stream.destroyed) return;
    if (this.pieceCount > 0 && this.stream.writableLength === 0) this.emit(false);
    if (this.owesDrain && this.queuedBytes === 0) {
      this.owesDrain = false;
      this.stream.emit('drain');
    }
  };

  constructor(socket: Socket, fd: number, addon: NativeAddon) {
    super(socket);
    this.fd = fd;
    this.addon = addon;
  }

  /** Give all pieces to the kernel. Bytes taken, or `-errno` where it took none. */
  protected abstract transmit(more: boolean): number;

  protected override messageEnded(): void {
    this.emit(false);
  }

  protected override emit(more: boolean): void {
    // The descriptor is the socket's only until it is destroyed.
    if (!this.usable()) return;
    const { stream } = this;
    if (stream.writableLength > 0) {
      // Behind a probe there is nothing to do but to wait for it.
      if (this.handedOver === 0 || stream.writableNeedDrain) this.handOverAll();
      return;
    }
    const taken = this.transmit(more);
    if (taken === this.pendingBytes) {
      this.reset();
    } else if (taken < 0 && !transientErrors.has(taken)) {
      this.fail(taken);
    } else {
      this.counters.shortSends++;
      if (taken > 0) this.drop(taken);
      this.probe();
    }
  }

  protected override makeRoom(): void {
    this.emit(true);
    if (this.pieceCount > 0) this.handOverAll();
  }

  /** Node's rule for what its streams do not know of: full at the high-water mark, then 'drain'. */
  protected override writable(): boolean {
    const stream = this.stream;
    if (this.handedOver === 0 || !stream.writable || stream.writableNeedDrain) {
      return super.writable();
    }
    if (this.pendingBytes + stream.writableLength < stream.writableHighWaterMark) return true;
    this.owesDrain = true;
    return false;
  }

  /** The beginning of what is pending, short enough that the stream's own 'drain' does not follow. */
  private probe(): void {
    const { stream } = this;
    const bytes = Math.min(
      this.lengthOf(0),
      probeBytesMax,
      Math.max(stream.writableHighWaterMark - 1, 1),
    );
    const piece = this.lastingView(0).subarray(0, bytes);
    this.counters.fallbacks++;
    this.counters.streamWrites++;
    this.handedOver++;
    this.drop(bytes);
    stream.write(piece, this.writeCompleted);
  }

  /** Everything goes through the stream: what was queued there first keeps its place. */
  private handOverAll(): void {
    const { stream } = this;
    this.counters.fallbacks++;
    this.handedOver++;
    stream.cork();
    for (let index = 0; index < this.pieceCount; index++) {
      this.counters.streamWrites++;
      const isLast = index === this.pieceCount - 1;
      stream.write(this.lastingView(index), isLast ? this.writeCompleted : undefined);
    }
    this.reset();
    stream.uncork();
    if (stream.writableNeedDrain) this.owesDrain = false;
  }

  private fail(errno: number): void {
    const code = getSystemErrorName(errno);
    this.discard();
    this.stream.destroy(
      new NbdError(code, `Sending failed with ${code}: the connection is no longer usable.`),
    );
  }
}
