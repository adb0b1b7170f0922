/**
 * The part that all strategies share: messages, backpressure and the end of the
 * stream. This is a hot path: nothing is allocated for a message.
 */
import { Duplex, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { NbdError } from '../errors.js';
import type { MappedMemory } from '../memory/mapped-memory.js';
import { arenaBytes, copyOf, PendingPieces, piecesMax } from './pending-pieces.js';
import { headerBytesMax, type Lease } from './sender.js';
import type { StrategyName, Transport } from './transport.js';

/** With this many bytes pending, waiting for further messages gains nothing. */
const batchBytesMax = 1 << 20;

export abstract class BaseTransport extends PendingPieces implements Transport {
  abstract readonly strategy: StrategyName;
  readonly sendsMappings: boolean = false;
  readonly stream: Writable;
  private gathering = false;
  private scheduled = false;
  private ended = false;
  private uncorking = false;
  private readonly tickEnded = (): void => {
    this.scheduled = false;
    if (!this.gathering) this.flush();
  };

  constructor(stream: Writable) {
    super();
    this.stream = stream;
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
    this.holdArena();
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

  appendMapping({ mapping }: MappedMemory, start: number, length: number): void {
    try {
      this.append(copyOf(mapping, start, length));
    } catch (error) {
      this.failWith(error);
    }
  }

  /** Closes the connection. */
  protected failWith(error: unknown): void {
    this.dropPending();
    this.stream.destroy(error instanceof Error ? error : new Error(String(error)));
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
