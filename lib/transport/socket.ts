/**
 * The part that the socket strategies share. They send on the descriptor, and
 * write to the stream what the kernel does not accept at once. Bytes stay in
 * order because the descriptor is used only while the stream has nothing queued.
 */
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../errors.js';
import type { NativeAddon } from '../native/addon.js';
import { BaseTransport } from './base.js';

/** Errors after which sending succeeds later: the stream waits until the socket is writable. */
const transientErrors: ReadonlySet<number> = new Set([
  -constants.errno.EAGAIN,
  -constants.errno.ENOBUFS,
  -constants.errno.ENOMEM,
]);

export abstract class SocketTransport extends BaseTransport {
  protected readonly addon: NativeAddon;
  protected readonly fd: number;

  constructor(socket: Socket, fd: number, addon: NativeAddon) {
    super(socket);
    this.fd = fd;
    this.addon = addon;
  }

  /** Send all pieces. Returns how many bytes the kernel accepted, or `-errno` where it accepted none. */
  protected abstract transmit(more: boolean): number;

  protected override messageEnded(): void {
    this.sendPending(false);
  }

  protected override sendPending(more: boolean): void {
    // Once the socket is destroyed, its descriptor may belong to another file.
    if (!this.ensureWritable()) return;
    if (this.stream.writableLength > 0) {
      this.queueInStream();
      return;
    }
    let sentBytes = this.transmit(more);
    // An active reader frees buffer space meanwhile, so the rest of a short send
    // is sent again, until the kernel accepts nothing.
    while (sentBytes > 0 && sentBytes < this.pendingBytes) {
      this.counters.shortSends++;
      this.removeSent(sentBytes);
      sentBytes = this.transmit(more);
    }
    if (sentBytes === this.pendingBytes) {
      this.clear();
    } else if (transientErrors.has(sentBytes)) {
      this.counters.shortSends++;
      this.queueInStream();
    } else {
      this.fail(sentBytes);
    }
  }

  /** One send(2) for each piece: the last with MSG_MORE where `moreAfter`, the others where `moreBetween`. */
  protected sendEach(moreBetween: boolean, moreAfter: boolean): number {
    const last = this.pieceCount - 1;
    let sentBytes = 0;
    for (let index = 0; index <= last; index++) {
      const piece = this.pieceAt(index, this.arena);
      const result = this.addon.send(this.fd, piece, index < last ? moreBetween : moreAfter);
      this.counters.sends++;
      if (result < 0) return sentBytes > 0 ? sentBytes : result;
      sentBytes += result;
      if (result < piece.byteLength) return sentBytes;
    }
    return sentBytes;
  }

  private queueInStream(): void {
    this.counters.fallbacks++;
    this.writeToStream();
  }

  private fail(errno: number): void {
    const code = getSystemErrorName(errno);
    this.dropPending();
    this.stream.destroy(
      new NbdError(code, `Sending failed with ${code}. The connection is closed.`),
    );
  }
}
