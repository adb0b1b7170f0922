import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { Outbox } from './outbox.js';

/** Pieces up to this size are copied into one buffer for TLS: see `joined`. */
const joinedBytesMax = 128 * 1024;
/** Buffers that were sent and wait to be used again, by all connections. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 16;

/**
 * Node's own vector: cork, a write a piece, uncork, so one writev for all
 * messages of a tick. The best that works without a socket of our own: pipes,
 * any Duplex, systems without the addon. For TLS the pieces are joined first.
 */
export class StreamOutbox extends Outbox {
  readonly strategy = 'stream';
  private readonly joins: boolean;

  constructor(stream: Writable) {
    super(stream);
    this.joins = stream instanceof TLSSocket;
  }

  protected override messageEnded(): void {
    this.batch();
  }

  protected override emit(): void {
    if (!this.usable()) return;
    if (this.joins) this.giveJoined();
    else this.giveToStream();
  }

  /**
   * Node joins a vector for OpenSSL, at the price of a write for each piece.
   * Joined here it is one write, whose records are full: a header and a small
   * payload share one.
   */
  private giveJoined(): void {
    const { stream } = this;
    stream.cork();
    for (let first = 0; first < this.pieceCount;) {
      let bytes = this.lengthOf(first);
      let next = first + 1;
      while (next < this.pieceCount && bytes + this.lengthOf(next) <= joinedBytesMax) {
        bytes += this.lengthOf(next++);
      }
      this.counters.streamWrites++;
      if (next === first + 1) stream.write(this.view(first, this.headersCopy()));
      else this.writeJoined(first, next);
      first = next;
    }
    this.reset();
    this.uncork();
  }

  private writeJoined(first: number, next: number): void {
    const buffer = spareBuffers.pop() ?? Buffer.allocUnsafeSlow(joinedBytesMax);
    let bytes = 0;
    for (let index = first; index < next; index++) {
      const length = this.lengthOf(index);
      buffer.set(this.view(index, this.arena), bytes);
      bytes += length;
    }
    this.stream.write(buffer.subarray(0, bytes), () => {
      if (spareBuffers.length < spareBuffersMax) spareBuffers.push(buffer);
    });
  }
}
