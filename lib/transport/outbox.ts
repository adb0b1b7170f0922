/**
 * The pieces of pending messages, which every strategy sends in its own way.
 * Callers: transmission/reply.ts through `Transport`, and users of
 * nbdcork/transport. Calls: the strategy's `emit`. Owns: a small arena that
 * headers are written into, and the list of pieces; payloads are borrowed.
 * Hot: nothing here is allocated for a message.
 */
import { Duplex, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { NbdError } from '../errors.js';
import { headerBytesMax } from './sender.js';
import type { StrategyName, Transport, TransportCounters } from './transport.js';

/** 256 headers of simple replies. A full arena is flushed, so its size bounds memory, not messages. */
const arenaBytes = 4096;
/** IOV_MAX of Linux: a longer vector would take a second system call anyway. */
const piecesMax = 1024;
const piecesAtFirst = 32;
const buffersSearchedMax = 32;
/**
 * A shorter piece that has to wait behind others is copied: what it is a view of
 * may be far larger, and none of that could be used again while it waits.
 */
const heldPieceBytesMin = 4096;
/** A piece in `pieces`: index into `buffers`, offset, length. */
const pieceWidth = 3;
/** Pending payload past which waiting for more messages gains nothing. */
const pendingBytesMax = 1 << 20;

export abstract class Outbox implements Transport {
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
  protected readonly buffers: Uint8Array[];
  protected pieces = new Float64Array(piecesAtFirst * pieceWidth);
  protected pieceCount = 0;
  protected pendingBytes = 0;
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
    // On the peer's end Node ends a stream that may not be half open: what is pending goes first.
    if (stream instanceof Duplex) {
      stream.prependListener('end', () => {
        this.flush();
      });
    }
  }

  /**
   * Send all pieces and `reset`. What the kernel does not take waits in the
   * stream. `more` says that the message goes on.
   */
  protected abstract emit(more: boolean): void;

  /** A message is whole: send it now, or see that it is sent when the tick ends. */
  protected abstract messageEnded(): void;

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
      if (stream.destroyed || !stream.writableNeedDrain) {
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
        `A header has 0 to ${headerBytesMax} bytes, not ${length}: append it as a piece.`,
      );
    }
    if (this.arenaUsed + length > arenaBytes || this.pieceCount === piecesMax) this.emit(true);
    const at = this.arenaUsed;
    this.arenaUsed = at + length;
    if (length > 0) this.addPiece(0, at, length);
    return at;
  }

  append(memory: Uint8Array, start = 0, length = memory.length - start): void {
    if (length === 0) return;
    if (!(start >= 0 && length >= 0 && start + length <= memory.length)) {
      throw new NbdError('NBDCORK_BAD_PIECE', 'A piece must lie inside its memory.');
    }
    if (this.pieceCount === piecesMax) this.emit(true);
    this.addPiece(this.indexOf(memory), start, length);
  }

  endMessage(): boolean {
    this.counters.messages++;
    if (this.pieceCount > 0) this.messageEnded();
    return this.writable();
  }

  send(piece: Uint8Array, more = false): boolean {
    this.append(piece);
    return more ? this.writable() : this.endMessage();
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
    if (this.pieceCount > 0) this.emit(false);
    return this.writable();
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
    // Flushing may bring a Duplex's other end to answer at once, with a question to answer.
    do this.flush();
    while (this.pieceCount > 0);
    this.ended = true;
    if (!this.uncorking) this.stream.end();
  }

  /** For strategies that send a whole batch: now if it is long, else when the tick ends. */
  protected batch(): void {
    if (this.pendingBytes >= pendingBytesMax || this.pieceCount >= piecesMax - 1) {
      this.emit(false);
    } else if (!this.gathering && !this.scheduled) {
      this.scheduled = true;
      setImmediate(this.tickEnded);
    }
  }

  /** False where the stream is gone or has been ended; then what is pending is dropped. */
  protected usable(): boolean {
    const stream = this.stream;
    if (stream.destroyed) {
      this.discard();
      return false;
    }
    if (stream.writableEnded) {
      this.discard();
      stream.destroy(this.endedByPeer() ? peerEnded() : writeAfterEnd());
      return false;
    }
    return true;
  }

  /** What Node's `write` would have returned. A stream that is gone drops what is pending. */
  protected writable(): boolean {
    const stream = this.stream;
    if (stream.writable) return !stream.writableNeedDrain;
    if (this.pieceCount > 0) this.usable();
    return false;
  }

  protected reset(): void {
    this.counters.bytes += this.pendingBytes;
    this.pieceCount = 0;
    this.pendingBytes = 0;
    this.arenaUsed = 0;
    this.buffers.length = 1;
  }

  /** The first `taken` bytes, fewer than all, are with the kernel: the others stay. */
  protected drop(taken: number): void {
    const pieces = this.pieces;
    let count = 0;
    let skip = taken;
    while (skip >= this.lengthOf(count)) skip -= this.lengthOf(count++);
    pieces.copyWithin(0, count * pieceWidth, this.pieceCount * pieceWidth);
    pieces[1] = (pieces[1] ?? 0) + skip;
    pieces[2] = (pieces[2] ?? 0) - skip;
    this.pieceCount -= count;
    this.pendingBytes -= taken;
    this.counters.bytes += taken;
  }

  /** All pieces go through the stream, in one writev where it can. */
  protected giveToStream(): void {
    const { stream } = this;
    const headers = this.headersCopy();
    const waits = stream.writableLength > 0;
    stream.cork();
    for (let index = 0; index < this.pieceCount; index++) {
      this.counters.streamWrites++;
      const piece = this.view(index, headers);
      const held = waits && this.pieces[index * pieceWidth] !== 0;
      stream.write(held && piece.length < heldPieceBytesMin ? Buffer.from(piece) : piece);
    }
    this.reset();
    this.uncork();
  }

  /**
   * Node never finishes a stream that is ended while it is being uncorked, as when
   * a Duplex's other end answers at once that it leaves. Then it is ended here.
   */
  protected uncork(): void {
    const outermost = !this.uncorking;
    this.uncorking = true;
    this.stream.uncork();
    if (!outermost) return;
    this.uncorking = false;
    if (this.ended) this.stream.end();
  }

  /** The arena's content for the stream, which may keep it while the arena is used again. */
  protected headersCopy(): Uint8Array {
    return Buffer.from(this.arena.subarray(0, this.arenaUsed));
  }

  /** Drop what is pending: the stream is gone. */
  protected discard(): void {
    this.pendingBytes = 0; // `reset` counts what was sent
    this.reset();
  }

  /** The bytes of piece number `index`; `arena` or a copy of it holds the headers. */
  protected view(index: number, arena: Uint8Array): Uint8Array {
    const at = index * pieceWidth;
    const buffer = this.pieces[at] === 0 ? arena : (this.buffers[this.pieces[at] ?? 0] ?? arena);
    const offset = this.pieces[at + 1] ?? 0;
    const length = this.pieces[at + 2] ?? 0;
    if (offset === 0 && length === buffer.byteLength) return buffer;
    return Buffer.from(buffer.buffer, buffer.byteOffset + offset, length);
  }

  protected lengthOf(index: number): number {
    return this.pieces[index * pieceWidth + 2] ?? 0;
  }

  private endedByPeer(): boolean {
    const stream = this.stream;
    if (this.ended || !(stream instanceof Duplex)) return false;
    return !stream.allowHalfOpen && stream.readableEnded;
  }

  /** Each memory is named once, as far back as looking for it costs less than naming it again. */
  private indexOf(memory: Uint8Array): number {
    const buffers = this.buffers;
    const count = buffers.length;
    if (buffers[count - 1] === memory && count > 1) return count - 1;
    if (count > 1 && count <= buffersSearchedMax) {
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
    // Headers that follow each other in the arena are one piece.
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
    'A message was sent after the stream had been ended. Send it before.',
  );
}

/** What Node's own `write` says then. */
function peerEnded(): NbdError {
  return new NbdError(
    'EPIPE',
    'A message was sent after the peer had ended the connection. ' +
      'Set allowHalfOpen where a peer that has ended is still to be answered.',
  );
}
