import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { writeChunkByChunk } from '../sockets/handle.js';
import { BaseTransport } from './base.js';

/** Size of the buffers that pieces are copied into for TLS: see `writeJoined`. */
const joinBufferBytes = 128 * 1024;
/** A piece of this size or more is not copied: that would cost more than the TLS record that it saves. */
const separateBytesMin = 64 * 1024;
/** Fewer bytes that wait for the peer get a small buffer of their own, and do not occupy a large one. */
const spareUseBytesMin = joinBufferBytes / 4;
/** Buffers to be reused, shared by all connections. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 16;

/**
 * Node's own writev: cork, one `write` for each piece, uncork, for all messages
 * of a tick. Works on any stream and without the addon. For TLS the pieces are
 * joined instead.
 */
export class StreamTransport extends BaseTransport {
  readonly strategy = 'stream';
  private readonly joins: boolean;

  constructor(stream: Writable) {
    super(stream);
    this.joins = stream instanceof TLSSocket;
    if (this.joins) writeChunkByChunk(stream);
  }

  protected override messageEnded(): void {
    this.sendBatch();
  }

  protected override sendPending(): void {
    if (!this.ensureWritable()) return;
    if (this.joins) this.writeJoined();
    else this.writeToStream();
  }

  /**
   * Copy small pieces into one buffer before OpenSSL gets it. Then a header and a
   * small payload share a TLS record, and are encrypted while they are still in
   * the processor's cache.
   */
  private writeJoined(): void {
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
        stream.write(this.pieceAt(first, this.arena));
      } else {
        this.writeCopy(first, next, bytes);
      }
      first = next;
    }
    this.clear();
    this.uncork();
  }

  private writeCopy(first: number, end: number, bytes: number): void {
    const reused = bytes >= spareUseBytesMin || this.stream.writableLength === 0;
    const buffer = reused
      ? (spareBuffers.pop() ?? Buffer.allocUnsafeSlow(joinBufferBytes))
      : Buffer.allocUnsafe(bytes);
    let at = 0;
    for (let index = first; index < end; index++) {
      buffer.set(this.pieceAt(index, this.arena), at);
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

/** Whether a piece of `length` bytes may follow `joinedBytes` in the same buffer. */
function joinable(joinedBytes: number, length: number): boolean {
  return joinedBytes < separateBytesMin && length < separateBytesMin;
}
