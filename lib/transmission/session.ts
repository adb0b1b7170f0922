/**
 * One connection in the transmission phase. A request passes receive.ts (parse),
 * check.ts (refuse what is invalid), dispatch.ts (call the backend), reply.ts (write
 * the reply) and the transport, which sends all replies to one read together.
 * Owns the backlog, the bytes of requests that wait because too many are in
 * flight, and decides when reading may resume.
 */
import type { Backend } from '../backend/backend.js';
import type { Limits } from '../limits.js';
import type { Sender } from '../transport/sender.js';
import type { Agreement } from './agreement.js';
import { acquire, release } from './checks/clients.js';
import { ConnectionMemory, type PayloadBuffers } from './memory/connection-memory.js';
import { Dispatcher, type RequestEvents } from './dispatch.js';
import type { MemoryBudget } from './memory/memory-budget.js';
import type { BytesAvailable } from './memory/payload.js';
import { arrivalMarkUnit, Receiver } from './receive.js';
import { ReplyWriter } from './reply.js';
import type { Defer } from './time-slice.js';

export interface SessionEvents extends RequestEvents {
  /** A method returned false to pause reading; now reading may resume. */
  resume(): void;
  /** All requests before the client's NBD_CMD_DISC, or before `end` or `stop`, are answered: close the connection. */
  sessionEnded(): void;
}

/**
 * When replies are flushed: after each read; or at the end of the tick, for TLS,
 * which delivers each record as a read of its own.
 */
export type FlushPoint = 'read' | 'tick';

export interface SessionOptions {
  readonly limits: Limits;
  readonly flushPoint: FlushPoint;
  readonly events: SessionEvents;
  /** The budget of all connections of the server. */
  readonly memoryBudget: MemoryBudget;
  // The next two differ between JavaScript runtimes: nothing here depends on Node.
  readonly defer: Defer;
  readonly buffers: PayloadBuffers;
  /** Of a connection that reads a socket or pipe without TLS, where it is known. */
  readonly bytesAvailable?: BytesAvailable | undefined;
}

const noBytes: Uint8Array = new Uint8Array(0);

export class Session {
  private readonly receiver: Receiver;
  private readonly memory: ConnectionMemory;
  private readonly dispatcher: Dispatcher;
  private readonly backend: Backend;
  private readonly sender: Sender;
  private readonly events: SessionEvents;
  private readonly flushesReads: boolean;
  private backlog = noBytes;
  private ending = false;
  /** `stop` was called and the client has not ended: the rest of a payload may still arrive. */
  private stopping = false;
  /** Bytes that the client had sent when `stop` was called, and that were not received yet. */
  private unreadBytes = 0;
  /** `unreadBytes` is unknown, and the time until it counts as 0 has not begun. */
  private unreadDeferred = false;
  private sentAfterStop = false;
  private readonly defer: Defer;
  private readonly bytesAvailable: BytesAvailable | undefined;
  /** `sessionEnded` was called: further bytes are ignored. */
  private ended = false;
  private receiving = false;

  constructor(agreement: Agreement, sender: Sender, options: SessionOptions) {
    const { limits, events, defer, memoryBudget, buffers, bytesAvailable } = options;
    this.flushesReads = options.flushPoint === 'read';
    this.backend = agreement.export.backend;
    this.sender = sender;
    this.events = events;
    this.defer = defer;
    this.bytesAvailable = bytesAvailable;
    const replies = new ReplyWriter(sender, agreement.headers);
    const memory = new ConnectionMemory(memoryBudget, buffers, this.backend, (bytes) => {
      this.memoryGranted(bytes);
    });
    this.memory = memory;
    this.dispatcher = new Dispatcher(agreement, replies, memory, limits, events, defer, () => {
      this.continueRequests();
    });
    this.receiver = new Receiver(agreement, this.dispatcher, events, memory, bytesAvailable);
    acquire(this.backend);
  }

  /** Memory for the next read to fill, instead of the connection's receive buffer. */
  payloadTarget(): Uint8Array | undefined {
    return this.ended ? undefined : this.receiver.payloadTarget();
  }

  /** The most bytes that the next read into the receive buffer should return. */
  get readBytesMax(): number {
    // TLS decrypts whole records.
    return this.flushesReads ? this.receiver.readBytesMax : Infinity;
  }

  /**
   * Process all bytes that a read delivered. Returns false to pause reading until `resume`.
   * `bytes` may be reused afterwards.
   */
  receive(bytes: Uint8Array, view: DataView, start: number, end: number): boolean {
    if (this.ended) return true;
    if (this.stopping) this.noteReceived(end - start);
    if (this.backlog.length > 0) {
      // TLS delivers what it has already decrypted, even while reading is paused.
      this.backlog = concatenated(this.backlog, bytes.subarray(start, end));
      return false;
    }
    if (this.flushesReads) this.sender.gather();
    this.dispatcher.startBatch();
    const reached = this.parse(bytes, view, start, end);
    if (reached < end && !this.receiver.ended) this.backlog = bytes.slice(reached, end);
    return this.finishBatch();
  }

  /** A read filled the first `count` bytes of the `payloadTarget`. Returns as `receive`. */
  payloadReceived(count: number): boolean {
    if (this.ended) return true;
    if (this.stopping) this.noteReceived(count);
    if (this.flushesReads) this.sender.gather();
    this.receiving = true;
    try {
      this.receiver.payloadReceived(count);
    } catch (error) {
      this.events.sessionFailed(error);
    } finally {
      this.receiving = false;
    }
    return this.finishBatch();
  }

  /** Every request is answered, and the kernel has all replies. */
  get idle(): boolean {
    return this.allAnswered && !this.receiver.inPayload && this.sender.queuedBytes === 0;
  }

  /**
   * Bytes of payloads that have arrived, where the client has to send more of one
   * that holds memory; else undefined.
   */
  get payloadProgress(): number | undefined {
    return this.dispatcher.full || this.ended ? undefined : this.receiver.payloadProgress;
  }

  /** Bytes of memory that this connection holds and that another request waits for. */
  get wantedBytes(): number {
    return this.memory.wantedBytes;
  }

  /**
   * While the client waits for nothing, a number that differs from the last one if
   * the client has sent anything since; else undefined. Every request adds the bytes
   * of its reply, so that it costs a request nothing to be noticed.
   */
  activity(sentBytes: number): number | undefined {
    const waits = !this.allAnswered || this.sender.queuedBytes > 0 || this.ending;
    return waits ? undefined : sentBytes * arrivalMarkUnit + this.receiver.arrivalMark;
  }

  /** The sender has drained: requests that waited for that continue. */
  drained(): void {
    this.dispatcher.congested = false;
    this.continueRequests();
  }

  /** The client sends nothing more: answer the requests in flight, then end. */
  end(): void {
    this.ending = true;
    this.stopping = false;
    this.unreadBytes = 0;
    this.endIfIdle();
  }

  /**
   * "On a server shutdown, the server SHOULD wait for inflight requests to be
   * serviced" ("Terminating the transmission phase"), including one whose payload
   * is still arriving. Refuse requests that begin from now on, those that the
   * client has sent and that were not read yet as well, then end.
   */
  stop(): void {
    this.receiver.stop();
    this.sentAfterStop = !this.idle;
    if (!this.ending) {
      this.stopping = true;
      if (this.bytesAvailable === undefined) this.expectUnread();
      else this.unreadBytes = this.bytesAvailable();
    }
    this.ending = true;
    this.endIfIdle();
  }

  /**
   * `stop` found the client active, or it has sent something since: it may still
   * be sending, and its last replies are lost if the connection is closed at once.
   */
  get clientActive(): boolean {
    return this.sentAfterStop;
  }

  /**
   * Where it is unknown how much the client has sent, a turn of the event loop
   * delivers what there is. The first may have begun already.
   */
  private expectUnread(): void {
    this.unreadBytes = Infinity;
    this.unreadDeferred = false;
    this.defer(() => {
      this.defer(() => {
        if (this.mustWait) {
          this.unreadDeferred = true;
          return;
        }
        this.unreadBytes = 0;
        this.endIfIdle();
      });
    });
  }

  private noteReceived(bytes: number): void {
    this.receiver.sentAfterStop = this.unreadBytes <= 0;
    this.unreadBytes -= bytes;
    this.sentAfterStop = true;
  }

  /**
   * The connection is closed; results of requests in flight are discarded.
   * Settles when the backend has returned all of them.
   */
  close(): Promise<void> {
    release(this.backend);
    this.dispatcher.close();
    this.memory.close();
    this.receiver.close();
    this.backlog = noBytes;
    return this.dispatcher.whenIdle();
  }

  private parse(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    this.receiving = true;
    try {
      return this.receiver.receive(bytes, view, start, end);
    } catch (error) {
      this.events.sessionFailed(error);
      return end;
    } finally {
      this.receiving = false;
    }
  }

  private finishBatch(): boolean {
    if (this.flushesReads && !this.sender.flush()) this.dispatcher.congested = true;
    if (this.receiver.ended) this.end();
    else if (this.stopping) this.endIfIdle();
    // After the end, reading continues only to see the client's end.
    return this.ended || (this.backlog.length === 0 && !this.mustWait);
  }

  /** Memory is there for the request that has waited for it. */
  private memoryGranted(bytes: number): void {
    if (this.flushesReads) this.sender.gather();
    this.receiving = true;
    try {
      this.receiver.memoryGranted(bytes);
    } catch (error) {
      this.events.sessionFailed(error);
    } finally {
      this.receiving = false;
    }
    this.finishBatch();
    this.continueRequests();
  }

  /** A request was answered, replies were sent, or a time slice began: continue with the backlog. */
  private continueRequests(): void {
    // A destroyed stream emits 'close' later, perhaps not before the next time slice.
    if (this.receiving || this.sender.destroyed) return;
    if (this.backlog.length > 0 && !this.mustWait) {
      const bytes = this.backlog;
      this.backlog = noBytes;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (this.flushesReads) this.sender.gather();
      const reached = this.parse(bytes, view, 0, bytes.length);
      // No second copy: the backlog owns its memory already.
      if (reached < bytes.length && !this.receiver.ended) this.backlog = bytes.subarray(reached);
      if (!this.finishBatch()) return;
    }
    if (this.ending) this.endIfIdle();
    if (this.mustWait) return;
    if (!this.ending || this.awaitsPayload || this.unreadBytes > 0) this.events.resume();
    if (this.unreadDeferred) this.expectUnread();
  }

  private get mustWait(): boolean {
    return this.dispatcher.full || this.receiver.waiting;
  }

  private get awaitsPayload(): boolean {
    return this.stopping && this.receiver.inPayload;
  }

  private get allAnswered(): boolean {
    return this.dispatcher.idle && this.backlog.length === 0 && !this.receiver.waiting;
  }

  private endIfIdle(): void {
    if (!this.allAnswered || this.awaitsPayload || this.unreadBytes > 0 || this.ended) return;
    this.ended = true;
    this.events.sessionEnded();
  }
}

function concatenated(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
