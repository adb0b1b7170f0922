import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { writeChunkByChunk } from '../sockets/handle.js';
import { Outbox } from './outbox.js';

/** Pieces are copied into buffers of this size for TLS: see `giveJoined`. */
const joinedBytesMax = 128 * 1024;
/** From this size on a piece is not copied: that would cost more than the record that it saves. */
const separateBytesMin = 64 * 1024;
/** Fewer bytes that wait for the peer get a buffer of their own, and hold no large one. */
const spareUseMin = joinedBytesMax / 4;
/** Buffers that were sent and wait to be used again, by all connections. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 16;

/**
 * Node's own vector: cork, a write a piece, uncork, so one writev for all
 * messages of a tick. The best that works without a socket of our own: pipes,
 * any Duplex, systems without the addon. TLS gets the pieces joined instead.
 */
export class StreamOutbox extends Outbox {
  readonly strategy = 'stream';
  private readonly joins: boolean;

  constructor(stream: Writable) {
    super(stream);
    this.joins = stream instanceof TLSSocket;
    if (this.joins) writeChunkByChunk(stream);
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
   * Each buffer that OpenSSL gets is joined here, so that a header and a small
   * payload share a record, and is encrypted while it is still in the
   * processor's cache.
   */
  private giveJoined(): void {
    const { stream } = this;
    stream.cork();
    for (let first = 0; first < this.pieceCount;) {
      let bytes = this.lengthOf(first);
      let next = first + 1;
      while (next < this.pieceCount && joinable(bytes, this.lengthOf(next))) {
        bytes += this.lengthOf(next++);
      }
      this.counters.streamWrites++;
      if (bytes >= separateBytesMin && next === first + 1) {
        stream.write(this.view(first, this.arena));
      } else {
        this.writeJoined(first, next, bytes);
      }
      first = next;
    }
    this.reset();
    this.uncork();
  }

  private writeJoined(first: number, end: number, bytes: number): void {
    const reused = bytes >= spareUseMin || this.stream.writableLength === 0;
    const buffer = reused
      ? (spareBuffers.pop() ?? Buffer.allocUnsafeSlow(joinedBytesMax))
      : Buffer.allocUnsafe(bytes);
    let at = 0;
    for (let index = first; index < end; index++) {
      buffer.set(this.view(index, this.arena), at);
      at += this.lengthOf(index);
    }
    if (!reused) {
      this.stream.write(buffer);
      return;
    }
    this.stream.write(buffer.subarray(0, bytes), () => {
      if (spareBuffers.length < spareBuffersMax) spareBuffers.push(buffer);
    });
  }
}

/** Whether a piece of `length` bytes goes behind the `joined` ones of a buffer. */
function joinable(joined: number, length: number): boolean {
  return joined < separateBytesMin && length < separateBytesMin;
}
