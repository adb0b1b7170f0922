/**
 * One connection in the transmission phase, in reading order: receive.ts,
 * rules.ts, dispatch.ts, reply.ts, transport. Caller: server/input.ts,
 * with what each read brought. Owns: the requests that had to wait because
 * enough is in progress (the backlog), and with it when to read on.
 */
import type { Backend } from '../backend/backend.js';
import type { Limits } from '../limits.js';
import type { Sender } from '../transport/sender.js';
import type { Agreement } from './agreement.js';
import { Dispatcher } from './dispatch.js';
import { Receiver } from './receive.js';
import { ReplyWriter } from './reply.js';
import { enter, leave } from './sharing.js';

export interface SessionEvents {
  /** The session had said that no more should be read: now it may. */
  readOn(): void;
  /** Every request is answered after the client's NBD_CMD_DISC: end the connection. */
  disconnected(): void;
  /** The client broke the protocol beyond repair, or a backend its promises: cut the connection. */
  broken(error: unknown): void;
  /** A backend failed a request; the client has its error number. */
  requestFailed(error: unknown, command: string): void;
  /** A backend did something wrong that fails no request. */
  backendFlawed(error: unknown, what: string): void;
}

const noBytes: Uint8Array = new Uint8Array(0);

/**
 * What is answered in one go: what a read brought, or what a tick did, for TLS,
 * where every record is a read of its own, however many came together.
 */
export type Batches = 'read' | 'tick';

export class Session {
  private readonly receiver: Receiver;
  private readonly dispatcher: Dispatcher;
  private readonly backend: Backend;
  private readonly sender: Sender;
  private readonly events: SessionEvents;
  private readonly flushesReads: boolean;
  private backlog = noBytes;
  private ending = false;
  /** The server stops, and the client has not ended: what is left of a payload may come. */
  private stopping = false;
  /** `disconnected` was called: what still comes is of no interest. */
  private ended = false;
  private receiving = false;

  constructor(
    agreement: Agreement,
    sender: Sender,
    limits: Limits,
    batches: Batches,
    events: SessionEvents,
  ) {
    this.flushesReads = batches === 'read';
    this.backend = agreement.export.backend;
    this.sender = sender;
    this.events = events;
    this.dispatcher = new Dispatcher(
      agreement,
      new ReplyWriter(sender, agreement.headers),
      limits,
      {
        settled: () => {
          this.goOn();
        },
        failed: (error, command) => {
          events.requestFailed(error, command);
        },
        flawed: (error, what) => {
          events.backendFlawed(error, what);
        },
        broken: (error) => {
          this.broke(error);
        },
      },
    );
    this.receiver = new Receiver(agreement, this.dispatcher);
    enter(this.backend);
  }

  /** What the next read should fill, where that is not the connection's own buffer. */
  directTarget(): Uint8Array | undefined {
    return this.ended ? undefined : this.receiver.directTarget();
  }

  /** Everything that a read brought. False asks not to read on before `readOn`. */
  receive(bytes: Uint8Array, view: DataView, at: number, end: number): boolean {
    if (this.ended) return true;
    if (this.backlog.length > 0) {
      // TLS delivers what it has decrypted already, wanted or not.
      this.backlog = joined(this.backlog, bytes.subarray(at, end));
      return false;
    }
    if (this.flushesReads) this.sender.gather();
    this.dispatcher.received();
    const stopped = this.parse(bytes, view, at, end);
    if (stopped < end && !this.receiver.ended) this.backlog = bytes.slice(stopped, end);
    return this.flush();
  }

  /** A read filled the first `count` bytes of the `directTarget`. */
  received(count: number): boolean {
    if (this.ended) return true;
    if (this.flushesReads) this.sender.gather();
    this.receiving = true;
    try {
      this.receiver.received(count);
    } catch (error) {
      this.broke(error);
    } finally {
      this.receiving = false;
    }
    return this.flush();
  }

  /** Every request is answered, and every answer with the kernel. */
  get idle(): boolean {
    return this.settled && !this.receiver.inPayload && this.sender.queuedBytes === 0;
  }

  /** The transport's stream has emitted 'drain'. */
  drained(): void {
    this.dispatcher.congested = false;
    this.goOn();
  }

  /** The client sends nothing more: answer what is in progress, then end. */
  end(): void {
    this.ending = true;
    this.stopping = false;
    this.endIfIdle();
  }

  /**
   * "On a server shutdown, the server SHOULD wait for inflight requests to be
   * serviced" ("Terminating the transmission phase"): so is a request whose
   * payload is under way. What comes now is refused; then end.
   */
  stop(): void {
    this.receiver.stop();
    this.stopping = !this.ending;
    this.ending = true;
    this.endIfIdle();
  }

  /**
   * The connection is gone; backends may still be at work, their answers are
   * dropped. Settles when they have given them.
   */
  close(): Promise<void> {
    leave(this.backend);
    this.dispatcher.close();
    this.backlog = noBytes;
    return this.dispatcher.whenIdle();
  }

  private parse(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    this.receiving = true;
    try {
      return this.receiver.receive(bytes, view, at, end);
    } catch (error) {
      this.broke(error);
      return end;
    } finally {
      this.receiving = false;
    }
  }

  private broke(error: unknown): void {
    this.sender.flush();
    this.events.broken(error);
  }

  private flush(): boolean {
    if (this.flushesReads && !this.sender.flush()) this.dispatcher.congested = true;
    if (this.receiver.ended) this.end();
    else if (this.stopping) this.endIfIdle();
    // Once it has ended, only the client's own end is still read.
    return this.ended || (this.backlog.length === 0 && !this.dispatcher.full);
  }

  /** Something was answered or sent, or others have had their turn: take up what had to wait. */
  private goOn(): void {
    // A stream that is destroyed may take until after the next turn to be closed.
    if (this.receiving || this.sender.destroyed) return;
    if (this.backlog.length > 0 && !this.dispatcher.full) {
      const bytes = this.backlog;
      this.backlog = noBytes;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (this.flushesReads) this.sender.gather();
      const stopped = this.parse(bytes, view, 0, bytes.length);
      // Ours already: it is copied once, however often it has to wait again.
      if (stopped < bytes.length && !this.receiver.ended) this.backlog = bytes.subarray(stopped);
      if (!this.flush()) return;
    }
    if (this.ending) this.endIfIdle();
    if (!this.dispatcher.full && (!this.ending || this.awaitsPayload)) this.events.readOn();
  }

  private get awaitsPayload(): boolean {
    return this.stopping && this.receiver.inPayload;
  }

  private get settled(): boolean {
    return this.dispatcher.idle && this.backlog.length === 0;
  }

  private endIfIdle(): void {
    if (!this.settled || this.awaitsPayload || this.ended) return;
    this.ended = true;
    this.events.disconnected();
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
