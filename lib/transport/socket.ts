/**
 * What the socket strategies share: raw sends on the descriptor while the
 * stream has nothing queued, and the stream for whatever the kernel does not
 * take at once. Order is kept because a raw send is made only when the stream
 * is empty. Callers: Outbox. Calls: the strategy's `transmit`, the stream.
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

export abstract class SocketOutbox extends Outbox {
  protected readonly addon: NativeAddon;
  protected readonly fd: number;

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
    if (this.stream.writableLength > 0) {
      this.fallBack(0);
      return;
    }
    const taken = this.transmit(more);
    if (taken === this.pendingBytes) {
      this.reset();
    } else if (taken < 0 && !transientErrors.has(taken)) {
      this.fail(taken);
    } else {
      this.counters.shortSends++;
      this.fallBack(Math.max(taken, 0));
    }
  }

  /** The bytes behind the first `taken` ones go through the stream, in one writev. */
  private fallBack(taken: number): void {
    this.counters.fallbacks++;
    let index = 0;
    let skip = taken;
    while (skip > 0 && skip >= this.lengthOf(index)) skip -= this.lengthOf(index++);
    this.stream.cork();
    for (; index < this.pieceCount; index++) {
      this.counters.streamWrites++;
      this.stream.write(this.lastingView(index, skip));
      skip = 0;
    }
    this.reset();
    this.stream.uncork();
  }

  private fail(errno: number): void {
    const code = getSystemErrorName(errno);
    this.discard();
    this.stream.destroy(
      new NbdError(code, `Sending failed with ${code}: the connection is no longer usable.`),
    );
  }
}
