/**
 * The part that all strategies share: the list of pending pieces, and the arena
 * that headers are written into. Payloads are borrowed. This is a hot path:
 * nothing is allocated for a message.
 */
import { Duplex, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { NbdError } from '../errors.js';
import { headerBytesMax, type Lease } from './sender.js';
import type { StrategyName, Transport, TransportCounters } from './transport.js';

/** Holds 256 headers of simple replies. A full arena is sent, so its size does not limit messages. */
const arenaBytes = 4096;
/** IOV_MAX of Linux: a longer vector needs a second system call anyway. */
const piecesMax = 1024;
const initialPieces = 32;
const searchedBuffersMax = 32;
/** Numbers of a piece in `pieces`: index into `buffers`, offset, length. */
const pieceWidth = 3;
/** With this many bytes pending, waiting for further messages gains nothing. */
const batchBytesMax = 1 << 20;

/** Pieces that wait to be sent. */
export interface Batch {
  readonly buffers: Uint8Array[];
  readonly pieces: Float64Array<ArrayBuffer>;
  readonly pieceCount: number;
  readonly bytes: number;
  readonly leases: Lease[];
}

export function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) lease.release();
}

export abstract class BaseTransport implements Transport {
  abstract readonly strategy: StrategyName;
  readonly stream: Writable;
  readonly headers: DataView;
  readonly counters: TransportCounters = {
    messages: 0,
    bytes: 0,
    sends: 0,
    corks: 0,
    streamWrites: 0,
    shortSends: 0,
    fallbacks: 0,
  };

  protected readonly arena: Uint8Array;
  /** What pieces are views of; the first is the arena, or a copy of it. */
  protected buffers: Uint8Array[];
  protected pieces = new Float64Array(initialPieces * pieceWidth);
  protected pieceCount = 0;
  protected pendingBytes = 0;
  /** Memory to be given back when all pieces are sent. */
  protected leases: Lease[] = [];
  private gathering = false;
  private arenaUsed = 0;
  private scheduled = false;
  private ended = false;
  private uncorking = false;
  private readonly tickEnded = (): void => {
    this.scheduled = false;
    if (!this.gathering) this.flush();
  };

  constructor(stream: Writable) {
    this.stream = stream;
    this.arena = new Uint8Array(arenaBytes);
    this.headers = new DataView(this.arena.buffer);
    this.buffers = [this.arena];
    // When the peer ends, Node ends a stream without `allowHalfOpen`: send what is pending before that.
    if (stream instanceof Duplex) {
      stream.prependListener('end', () => {
        this.flush();
        if (!stream.allowHalfOpen) this.handOver();
      });
    }
  }

  /**
   * Send all pieces and `clear` them. What the kernel does not accept waits.
   * With `more` the last message continues.
   */
  protected abstract sendPending(more: boolean): void;

  /** Called at the end of a message: send it now, or at the end of the tick. */
  protected abstract messageEnded(): void;

  /** Give what waits outside the stream to the stream, which is about to be ended. */
  protected handOver(): void {
    // Most strategies keep nothing outside the stream.
  }

  get queuedBytes(): number {
    return this.pendingBytes + this.stream.writableLength;
  }

  get destroyed(): boolean {
    return this.stream.destroyed;
  }

  get needsDrain(): boolean {
    return this.stream.writableNeedDrain;
  }

  drained(): Promise<void> {
    const { stream } = this;
    return new Promise((resolve) => {
      if (stream.destroyed || !this.needsDrain) {
        resolve();
        return;
      }
      const settle = (): void => {
        stream.off('drain', settle).off('close', settle);
        resolve();
      };
      stream.on('drain', settle).on('close', settle);
    });
  }

  header(length: number): number {
    if (!(length >= 0 && length <= headerBytesMax)) {
      throw new NbdError(
        'NBDCORK_HEADER_TOO_LONG',
        `Invalid header length ${length}: it must be 0 to ${headerBytesMax}. Append more bytes as a piece.`,
      );
    }
    if (this.arenaUsed + length > arenaBytes || this.pieceCount === piecesMax) {
      this.sendPending(true);
    }
    const at = this.arenaUsed;
    this.arenaUsed = at + length;
    if (length > 0) this.addPiece(0, at, length);
    return at;
  }

  append(memory: Uint8Array, start = 0, length = memory.length - start): void {
    if (length === 0) return;
    if (!(start >= 0 && length >= 0 && start + length <= memory.length)) {
      throw new NbdError(
        'NBDCORK_BAD_PIECE',
        'A piece lies outside its memory. Check its start and length.',
      );
    }
    if (this.pieceCount === piecesMax) this.sendPending(true);
    this.addPiece(this.bufferIndex(memory), start, length);
  }

  releaseWhenSent(lease: Lease): void {
    this.leases.push(lease);
  }

  endMessage(): boolean {
    this.counters.messages++;
    if (this.pieceCount > 0) this.messageEnded();
    return this.acceptsMore();
  }

  send(piece: Uint8Array, more = false): boolean {
    this.append(piece);
    return more ? this.acceptsMore() : this.endMessage();
  }

  sendv(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) this.append(piece);
    return this.endMessage();
  }

  gather(): void {
    this.gathering = true;
  }

  flush(): boolean {
    this.gathering = false;
    if (this.pieceCount > 0) this.sendPending(false);
    return this.acceptsMore();
  }

  sent(): Promise<void> {
    this.flush();
    if (this.stream.writableEnded) return finished(this.stream, { readable: false });
    return new Promise((resolve, reject) => {
      this.stream.write('', (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  end(): void {
    // The other end of a Duplex may respond at once, and lead to further messages.
    do this.flush();
    while (this.pieceCount > 0);
    this.ended = true;
    if (!this.uncorking) this.endStream();
  }

  /** Everything is sent or in the stream: end it. */
  protected endStream(): void {
    this.stream.end();
  }

  /** `end` was called. */
  protected get isEnded(): boolean {
    return this.ended;
  }

  /** For strategies that send batches: now if the batch is long, else at the end of the tick. */
  protected sendBatch(): void {
    if (this.pendingBytes >= batchBytesMax || this.pieceCount >= piecesMax - 1) {
      this.sendPending(false);
    } else if (!this.gathering && !this.scheduled) {
      this.scheduled = true;
      setImmediate(this.tickEnded);
    }
  }

  /** False where the stream is destroyed or has been ended: then pending pieces are dropped. */
  protected ensureWritable(): boolean {
    const stream = this.stream;
    if (stream.destroyed) {
      this.dropPending();
      return false;
    }
    if (stream.writableEnded) {
      this.dropPending();
      stream.destroy(this.endedByPeer() ? peerEnded() : writeAfterEnd());
      return false;
    }
    return true;
  }

  /** All pieces were sent. */
  protected clear(): void {
    this.counters.bytes += this.pendingBytes;
    this.pieceCount = 0;
    this.pendingBytes = 0;
    this.arenaUsed = 0;
    this.buffers.length = 1;
    if (this.leases.length > 0) releaseAll(this.leases.splice(0));
  }

  /** The first `sentBytes`, fewer than all, were sent: keep the others. */
  protected removeSent(sentBytes: number): void {
    const pieces = this.pieces;
    let count = 0;
    let skip = sentBytes;
    while (skip >= this.lengthOf(count)) skip -= this.lengthOf(count++);
    pieces.copyWithin(0, count * pieceWidth, this.pieceCount * pieceWidth);
    pieces[1] = (pieces[1] ?? 0) + skip;
    pieces[2] = (pieces[2] ?? 0) - skip;
    this.pieceCount -= count;
    this.pendingBytes -= sentBytes;
    this.counters.bytes += sentBytes;
  }

  /** Take all pieces out, to be sent later: memory of headers is copied, that of payloads is not. */
  protected takeBatch(): Batch {
    const { buffers, pieces, pieceCount, pendingBytes, leases } = this;
    buffers[0] = this.headersCopy();
    const batch = { buffers, pieces, pieceCount, bytes: pendingBytes, leases };
    this.buffers = [this.arena];
    this.pieces = new Float64Array(initialPieces * pieceWidth);
    this.pieceCount = 0;
    this.pendingBytes = 0;
    this.leases = [];
    this.arenaUsed = 0;
    return batch;
  }

  /** Put a batch back, where no pieces are pending. */
  protected loadBatch({ buffers, pieces, pieceCount, bytes, leases }: Batch): void {
    this.buffers = buffers;
    this.pieces = pieces;
    this.pieceCount = pieceCount;
    this.pendingBytes = bytes;
    this.leases = leases;
  }

  /** Headers are written into the arena again, after a batch that was loaded. */
  protected unloadBatch(): void {
    this.buffers = [this.arena];
  }

  /**
   * Node never finishes a stream that is ended while it is being uncorked, which
   * happens when the other end of a Duplex disconnects at once. `end` waits for this.
   */
  protected uncork(): void {
    const outermost = !this.uncorking;
    this.uncorking = true;
    this.stream.uncork();
    if (!outermost) return;
    this.uncorking = false;
    if (this.ended) this.endStream();
  }

  /** A copy of the headers, to be kept while the arena is reused. */
  private headersCopy(): Uint8Array {
    const [headers = this.arena] = this.buffers;
    return headers === this.arena ? this.arena.slice(0, this.arenaUsed) : headers;
  }

  /** Drop pending pieces, since the stream is destroyed. */
  protected dropPending(): void {
    this.pendingBytes = 0; // `clear` counts them as sent.
    this.clear();
  }

  /** The bytes of piece number `index`. */
  protected pieceAt(index: number): Uint8Array {
    const at = index * pieceWidth;
    const buffer = this.buffers[this.pieces[at] ?? 0] ?? this.arena;
    const offset = this.pieces[at + 1] ?? 0;
    const length = this.pieces[at + 2] ?? 0;
    if (offset === 0 && length === buffer.byteLength) return buffer;
    return Buffer.from(buffer.buffer, buffer.byteOffset + offset, length);
  }

  /** Whether piece number `index` is a view of the caller's memory. */
  protected isBorrowed(index: number): boolean {
    return this.pieces[index * pieceWidth] !== 0;
  }

  protected lengthOf(index: number): number {
    return this.pieces[index * pieceWidth + 2] ?? 0;
  }

  /** What Node's `write` would return. Drops pending pieces where the stream is destroyed. */
  protected acceptsMore(): boolean {
    const stream = this.stream;
    if (stream.writable) return !stream.writableNeedDrain;
    if (this.pieceCount > 0) this.ensureWritable();
    return false;
  }

  private endedByPeer(): boolean {
    const stream = this.stream;
    if (this.ended || !(stream instanceof Duplex)) return false;
    return !stream.allowHalfOpen && stream.readableEnded;
  }

  /** The index of `memory` in `buffers`. Among many it is added again: that is cheaper than a search. */
  private bufferIndex(memory: Uint8Array): number {
    const buffers = this.buffers;
    const count = buffers.length;
    if (buffers[count - 1] === memory && count > 1) return count - 1;
    if (count > 1 && count <= searchedBuffersMax) {
      const index = buffers.indexOf(memory, 1);
      if (index > 0) return index;
    }
    buffers.push(memory);
    return count;
  }

  private addPiece(index: number, offset: number, length: number): void {
    this.pendingBytes += length;
    const count = this.pieceCount;
    let pieces = this.pieces;
    let at = count * pieceWidth;
    // Consecutive headers in the arena are one piece.
    if (index === 0 && count > 0 && pieces[at - 3] === 0) {
      pieces[at - 1] = (pieces[at - 1] ?? 0) + length;
      return;
    }
    if (at === pieces.length) pieces = this.grow();
    pieces[at++] = index;
    pieces[at++] = offset;
    pieces[at] = length;
    this.pieceCount = count + 1;
  }

  private grow(): Float64Array<ArrayBuffer> {
    const wider = new Float64Array(this.pieces.length * 2);
    wider.set(this.pieces);
    this.pieces = wider;
    return wider;
  }
}

function writeAfterEnd(): NbdError {
  return new NbdError(
    'NBDCORK_WRITE_AFTER_END',
    'A message was sent after the end of the stream. Send it before calling end().',
  );
}

/** The code that Node's `write` reports in this case. */
function peerEnded(): NbdError {
  return new NbdError(
    'EPIPE',
    'A message was sent after the peer ended the connection. ' +
      'Set allowHalfOpen on the socket to reply to a peer that has ended.',
  );
}
