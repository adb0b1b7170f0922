import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { writeChunkByChunk } from '../sockets/handle.js';
import { BaseTransport } from './base.js';
import { releaseAll } from './pending-pieces.js';
import { addon } from '../native/load.js';
import type { Lease } from './sender.js';

/** Size of the buffers that pieces are copied into. */
const joinBufferBytes = 128 * 1024;
/**
 * For TLS a piece of this size or more is not copied: that would cost more than
 * the TLS record that it saves.
 */
const separateBytesMin = 64 * 1024;
/** Fewer bytes that wait for the peer get a small buffer of their own, and do not occupy a large one. */
const spareUseBytesMin = joinBufferBytes / 4;
/** Buffers to be reused, shared by all connections. */
const spareBuffers: Buffer[] = [];
const spareBuffersMax = 16;
/** OpenSSL encrypts all of a `write` at once, and keeps the result until the peer reads it. */
const encryptedBytesMax = 2 ** 20;
/** Blocks begin at multiples of it in memory, or in their ArrayBuffer where addresses are unknown. */
const blockBytes = 4096;
const noLeases: readonly Lease[] = [];

/**
 * Node's own `write`, for all messages of a tick. Works on any stream and
 * without the addon.
 *
 * Pieces are copied into common buffers. A stream may keep what it is given
 * for long, while the memory of a piece changes: the peer would get half of a
 * block as it was and half as it is. With TLS a header and a small payload
 * share a record for it, and are encrypted while they are still in the
 * processor's cache. OpenSSL encrypts all of a `write` at once, so a long
 * piece need not be copied for it.
 */
export class StreamTransport extends BaseTransport {
  readonly strategy = 'stream';
  private readonly encrypts: boolean;
  /** Whether a buffer may be reused once it is written: other streams may pass it on. */
  private readonly reuses: boolean;

  constructor(stream: Writable) {
    super(stream);
    this.encrypts = stream instanceof TLSSocket;
    this.reuses = stream instanceof Socket;
    if (this.encrypts) writeChunkByChunk(stream);
  }

  protected override messageEnded(): void {
    this.sendBatch();
  }

  protected override sendPending(): void {
    if (!this.ensureWritable()) return;
    this.stream.cork();
    let first = 0;
    while (first < this.pieceCount) {
      first = this.isSeparate(first) ? this.writePiece(first) : this.writeCopies(first);
    }
    this.clear();
    this.uncork();
  }

  private isSeparate(index: number): boolean {
    return this.encrypts && this.lengthOf(index) >= separateBytesMin;
  }

  /** Returns the index of the next piece, here and below. */
  private writePiece(index: number): number {
    const leases = this.takeLeases(index + 1);
    const piece = this.pieceAt(index);
    // Slices end where blocks do: memory may change between them.
    let end = encryptedBytesMax - offsetInBlock(piece);
    let start = 0;
    for (; end < piece.length; end += encryptedBytesMax) {
      this.counters.streamWrites++;
      this.stream.write(piece.subarray(start, end));
      start = end;
    }
    this.counters.streamWrites++;
    this.stream.write(start === 0 ? piece : piece.subarray(start), () => {
      releaseAll(leases);
    });
    return index + 1;
  }

  private writeCopies(first: number): number {
    let bytes = 0;
    let end = first;
    for (; end < this.pieceCount && !this.isSeparate(end); end++) bytes += this.lengthOf(end);
    let buffer = this.joinBuffer(bytes);
    let used = 0;
    for (let index = first; index < end; index++) {
      let piece = this.pieceAt(index);
      while (piece.length > buffer.length - used) {
        const room = buffer.length - used;
        buffer.set(piece.subarray(0, room), used);
        piece = piece.subarray(room);
        this.writeBuffer(buffer, buffer.length, noLeases);
        bytes -= buffer.length;
        buffer = this.joinBuffer(bytes);
        used = 0;
      }
      buffer.set(piece, used);
      used += piece.length;
    }
    if (used > 0) this.writeBuffer(buffer, used, this.takeLeases(end));
    return end;
  }

  private joinBuffer(bytes: number): Buffer {
    if (!this.reuses) return Buffer.allocUnsafeSlow(Math.min(bytes, joinBufferBytes));
    if (bytes < spareUseBytesMin && this.stream.writableLength > 0) {
      return Buffer.allocUnsafe(bytes);
    }
    return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(joinBufferBytes);
  }

  /**
   * The leases, if the pieces before index `end` are all: released with the last
   * write, as copies of their pieces take memory until then.
   */
  private takeLeases(end: number): readonly Lease[] {
    return end === this.pieceCount && this.leases.length > 0 ? this.leases.splice(0) : noLeases;
  }

  private writeBuffer(buffer: Buffer, bytes: number, leases: readonly Lease[]): void {
    this.counters.streamWrites++;
    this.stream.write(buffer.subarray(0, bytes), () => {
      releaseAll(leases);
      if (
        this.reuses &&
        buffer.length === joinBufferBytes &&
        spareBuffers.length < spareBuffersMax
      ) {
        spareBuffers.push(buffer);
      }
    });
  }
}

function offsetInBlock(piece: Uint8Array): number {
  return addon?.offsetIn(piece, blockBytes) ?? piece.byteOffset % blockBytes;
}
