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
      this.fallBack();
      return;
    }
    let taken = this.transmit(more);
    // A reader that is awake makes room while it is being sent to, so what a
    // short send left is tried again, until the kernel takes nothing.
    while (taken > 0 && taken < this.pendingBytes) {
      this.counters.shortSends++;
      this.drop(taken);
      taken = this.transmit(more);
    }
    if (taken === this.pendingBytes) {
      this.reset();
    } else if (transientErrors.has(taken)) {
      this.counters.shortSends++;
      this.fallBack();
    } else {
      this.fail(taken);
    }
  }

  /** A send a piece, each for itself. */
  protected sendEach(): number {
    let taken = 0;
    for (let index = 0; index < this.pieceCount; index++) {
      const piece = this.view(index, this.arena);
      const result = this.addon.send(this.fd, piece, false);
      this.counters.sends++;
      if (result < 0) return taken > 0 ? taken : result;
      taken += result;
      if (result < piece.byteLength) return taken;
    }
    return taken;
  }

  private fallBack(): void {
    this.counters.fallbacks++;
    this.giveToStream();
  }

  private fail(errno: number): void {
    const code = getSystemErrorName(errno);
    this.discard();
    this.stream.destroy(
      new NbdError(code, `Sending failed with ${code}: the connection is no longer usable.`),
    );
  }
}
