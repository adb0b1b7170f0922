/**
 * The connection of a client: negotiation, then transmission. Owns the streams, the
 * transport and the timer of the negotiation. All of it is cold: reads go through
 * reader.ts.
 */
import type { Readable, Writable } from 'node:stream';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { ByteQueue } from '../handshake/byte-queue.js';
import { peerName, type Client, type SecureConnection } from '../handshake/client.js';
import { Conversation } from '../handshake/conversation.js';
import { negotiate } from '../handshake/negotiate.js';
import type { Limits } from '../limits.js';
import { quoted } from '../quoted.js';
import { payloadPool } from '../memory/buffer-pool.js';
import type { Agreement } from '../transmission/agreement.js';
import type { PayloadBuffers } from '../transmission/memory/connection-memory.js';
import { Session, type FlushPoint, type SessionEvents } from '../transmission/session.js';
import type { MemoryBudget } from '../transmission/memory/memory-budget.js';
import { attach, type AttachOptions } from '../transport/attach.js';
import { pendingBytes } from '../sockets/handle.js';
import { bytesAvailableOf, unreadByPeer } from '../sockets/peer.js';
import type { Transport } from '../transport/transport.js';
import type { BusyPoll } from './busy-poll/busy-poll.js';
import type { Catalog } from './exports/catalog.js';
import { ConnectionExports } from './exports/connection-exports.js';
import { FailureLog } from './log/failure-log.js';
import type { Logger } from './log/logger.js';
import { Reader } from './reader.js';
import type { OpenStreams } from '../sockets/streams.js';
import type { TlsAcceptor } from './tls/acceptor.js';
import { closeTls } from './tls/closing.js';

/**
 * What the kernel may queue for a client on a Unix socket: twice the default, so
 * that the replies to 64 requests of 4 KiB leave in one call. A client uses this
 * memory only while it does not read.
 */
const unixSendBufferBytes = 256 * 2 ** 10;

const buffers: PayloadBuffers = {
  allocate: (bytes) => Buffer.allocUnsafeSlow(bytes),
  take: (bytes) => payloadPool.take(bytes),
  release: (buffer) => {
    payloadPool.release(buffer);
  },
};

/**
 * Time for each export that the client has listed. libnbd's nbdinfo needs 200 ms
 * over TCP, because it leaves the end of an option to the kernel's timer (MSG_MORE).
 */
const handshakeMsPerExport = 500;
/** How many times `sendTimeoutMs` a client may take to transfer what it holds while others wait for that memory. */
const timeoutsPerPayloadMax = 8;

/** Node's timers fire immediately above this. */
const timerMsMax = 2 ** 31 - 1;

/** The parts of the server that all its connections share. */
export interface ConnectionContext {
  readonly catalog: Catalog;
  readonly limits: Limits;
  readonly memoryBudget: MemoryBudget;
  readonly logger: Logger;
  readonly strategy: NonNullable<AttachOptions['strategy']>;
  readonly busyPoll: BusyPoll;
  readonly tls: TlsAcceptor;
  readonly losses: ConnectionLosses;
}

/** Connections that the server has not wanted, or has ended, so far. */
export interface ConnectionLosses {
  /** Closed when they were accepted. */
  refused: number;
  /** Closed because the client let a time limit pass. */
  timedOut: number;
}

export class Connection {
  /** Settles when the streams are closed. */
  readonly closed: Promise<void>;
  /** Settles when backends, too, have answered its requests. */
  readonly answered: Promise<void>;
  /** Settles when the backend that was opened for it alone, if any, is closed too. */
  readonly backendClosed: Promise<void>;
  /** Settles when no function of the user is running for it either: it no longer counts. */
  readonly slotReleased: Promise<void>;
  // TLS replaces these three.
  transport: Transport;
  private readable: Readable;
  private writable: Writable;
  /** The stream of the socket, on which TLS may be layered. */
  private readonly rawWritable: Writable;
  private readonly context: ConnectionContext;
  private readonly peer: string;
  private readonly client: Client;
  private readonly handshakeBytes: ByteQueue;
  private readonly reader: Reader;
  private handshakeTimer: NodeJS.Timeout;
  private readonly exports: ConnectionExports;
  private readonly conversation: Conversation;
  private session: Session | undefined;
  private stopping = false;
  private flushPoint: FlushPoint = 'read';
  private exportName = '';
  private readonly failures = new FailureLog((level, error, what) => {
    this.log(level, error, what);
  });

  /** `admitted` is the access check, if it is still in progress. */
  constructor(
    context: ConnectionContext,
    open: OpenStreams,
    client: Client,
    admitted?: Promise<boolean>,
  ) {
    this.context = context;
    this.client = client;
    this.peer = peerName(client);
    this.handshakeBytes = new ByteQueue(context.limits.optionBytesMax, () => {
      this.reader.resume();
    });
    this.reader = new Reader(this.handshakeBytes, context.busyPoll);
    const streams = open(this.reader.readInto);
    this.readable = streams.input;
    this.writable = streams.output;
    this.rawWritable = streams.output;
    this.transport = attach(this.writable, {
      strategy: context.strategy,
      sendBufferBytes: unixSendBufferBytes,
    });
    this.exports = new ConnectionExports(context.catalog);
    const { limits } = context;
    this.conversation = new Conversation(this.transport, client, this.exports, limits, {
      mode: context.tls.mode,
      startTls: (acknowledge) => this.startTls(acknowledge),
    });
    this.closed = this.follow(streams.readsInto);
    this.answered = this.closed.then(() => this.release());
    this.backendClosed = this.answered.then(() => this.exports.close());
    this.slotReleased = this.backendClosed.then(() => this.exports.answered());
    this.handshakeTimer = setTimeout(() => {
      this.handshakeLate();
    }, limits.handshakeTimeoutMs);
    void this.negotiate(admitted);
  }

  /** True before the client has chosen an export. */
  get isNegotiating(): boolean {
    return this.session === undefined;
  }

  /** Bytes that the client has read, or sent; undefined if the server does not wait for it. */
  get progress(): number | undefined {
    return this.readByPeerBytes ?? this.session?.payloadProgress;
  }

  /**
   * What counts as progress within `sendTimeoutMs`. A client that transfers a byte
   * now and then must not keep memory that others wait for.
   */
  get progressMin(): number {
    return Math.max(1, (this.session?.wantedBytes ?? 0) / timeoutsPerPayloadMax);
  }

  /**
   * Not the bytes that are pending here: their number stays the same for long while
   * a slow client reads. The kernel accepts more only after much of its buffer was
   * read, and OpenSSL a whole batch at a time.
   */
  private get readByPeerBytes(): number | undefined {
    const pending = pendingBytes(this.writable);
    if (pending === 0) return undefined;
    return this.transport.counters.bytes - pending - unreadByPeer(this.rawWritable);
  }

  /** Changes with what an idle client sends; undefined if the client waits, or negotiates. */
  get activity(): number | undefined {
    return this.session?.activity(this.transport.counters.bytes);
  }

  /** The `progress` was the same for `sendTimeoutMs`. */
  stalled(): void {
    const { sendTimeoutMs } = this.context.limits;
    this.timedOut(
      'NBDCORK_CLIENT_STALLED',
      this.readByPeerBytes === undefined
        ? `The client has not sent the rest of a payload for ${sendTimeoutMs} ms, or too little of it.`
        : `The client has not read its replies for ${sendTimeoutMs} ms, or too little of them.`,
    );
  }

  /**
   * The `activity` was the same for `idleTimeoutMs`. Ends as when the server stops;
   * at once where the rest of a request is missing.
   */
  idled(): void {
    const { idleTimeoutMs } = this.context.limits;
    const code = 'NBDCORK_CLIENT_IDLE';
    const text = `The client has sent nothing for ${idleTimeoutMs} ms.`;
    if (this.session?.idle !== true) {
      this.timedOut(code, text);
      return;
    }
    this.context.losses.timedOut++;
    this.log('warn', new NbdError(code, text), 'connection closed');
    this.shutDown();
  }

  /** Ends after the requests in progress; a negotiation refuses further options. */
  shutDown(): void {
    this.stopping = true;
    if (this.session === undefined) {
      this.conversation.stopping = true;
      return;
    }
    this.session.stop();
  }

  destroy(): void {
    this.readable.destroy();
    this.writable.destroy();
  }

  /** Listens to the streams in use. Resolves when they are closed. */
  private follow(readsInto: boolean): Promise<void> {
    const { readable, writable } = this;
    this.reader.attach(readable, readsInto);
    readable.on('end', () => {
      this.inputEnded();
    });
    writable.on('drain', () => {
      this.session?.drained();
    });
    const closings = [...new Set<Readable | Writable>([readable, writable])].map((stream) => {
      stream.on('error', (error) => {
        this.log('debug', error, 'connection failed');
      });
      return new Promise<void>((resolve) => {
        const gone = (): void => {
          this.destroy();
          resolve();
        };
        if (stream.closed) gone();
        else stream.once('close', gone);
      });
    });
    readable.resume();
    return Promise.all(closings).then(() => undefined);
  }

  private async negotiate(admitted: Promise<boolean> | undefined): Promise<void> {
    try {
      // Send nothing before the client is admitted.
      if (admitted !== undefined) {
        if (!(await admitted)) this.destroy();
        if (this.writable.destroyed) return;
      }
      const agreement = await negotiate(this.conversation, this.handshakeBytes);
      if (agreement === undefined) this.end();
      else if (!this.writable.destroyed) this.startTransmission(agreement);
    } catch (error) {
      this.fail(error);
    } finally {
      clearTimeout(this.handshakeTimer);
    }
  }

  /** Continues the connection with TLS. */
  private async startTls(acknowledge: () => void): Promise<SecureConnection> {
    const { tls, logger, strategy } = this.context;
    // The client must wait for the reply. An attacker may insert plaintext that would
    // be taken for bytes of the encrypted connection (as in CVE-2021-3716).
    if (!this.handshakeBytes.empty) {
      throw new NbdError(
        'NBDCORK_TLS_INJECTION',
        'Plaintext received after NBD_OPT_STARTTLS: the client is faulty, or under attack.',
      );
    }
    // Further bytes are for OpenSSL, which rejects plaintext.
    this.reader.pause();
    acknowledge();
    await this.transport.sent();
    this.reader.detach();
    const secured = await tls.accept(this.readable, this.writable, this.reader.readInto);
    this.flushPoint = 'tick';
    this.readable = secured.socket;
    this.writable = secured.socket;
    this.transport = attach(secured.socket, { strategy });
    void this.follow(secured.readsInto);
    const client = { ...this.client, tls: secured.tls };
    logger.debug({ peer: this.peer, ...secured.tls }, 'TLS is in use');
    return { sender: this.transport, client };
  }

  private startTransmission(agreement: Agreement): void {
    const { limits, logger } = this.context;
    this.exportName = agreement.export.name;
    this.session = new Session(agreement, this.transport, {
      limits,
      flushPoint: this.flushPoint,
      events: this.sessionEvents(),
      defer,
      memoryBudget: this.context.memoryBudget,
      buffers,
      bytesAvailable: bytesAvailableOf(this.readable),
    });
    logger.debug({ peer: this.peer, export: this.exportName }, 'client connected');
    // The client may have sent requests after NBD_OPT_GO, without waiting for the reply.
    this.reader.startSession(this.session, this.handshakeBytes.takeAll());
    if (this.stopping) this.shutDown();
    if (this.readable.readableEnded) this.session.end();
  }

  private sessionEvents(): SessionEvents {
    return {
      resume: () => {
        this.reader.resume();
      },
      sessionEnded: () => {
        this.end();
      },
      sessionFailed: (error) => {
        this.fail(error);
      },
      requestFailed: (error, request) => {
        this.failures.requestFailed(error, request);
      },
      backendWarning: (error, what) => {
        this.failures.backendWarning(error, what);
      },
    };
  }

  private inputEnded(): void {
    if (this.writable.writableFinished) this.destroy();
    else if (this.session !== undefined) this.session.end();
    else {
      this.handshakeBytes.close(
        new NbdError('NBDCORK_CLIENT_LEFT', 'The client disconnected during the negotiation.'),
      );
    }
  }

  /**
   * Closes after the last reply. If the server is stopping, the client may still be
   * sending: closing a TCP socket with unread data resets the connection, and the
   * client would lose replies.
   */
  private end(): void {
    const { readable, writable } = this;
    if (writable.writableEnded) return;
    const lingers = this.stopping && this.session?.clientActive === true;
    writable.once('finish', () => {
      if (!lingers || readable.readableEnded) this.destroy();
    });
    this.transport.end();
    if (lingers) this.reader.resume();
  }

  /** Closes at once because of an error. */
  private fail(error: unknown): void {
    if (codeOf(error) === 'NBDCORK_CLIENT_LEFT') this.log('debug', error, 'connection closed');
    else this.log('warn', error, 'connection closed');
    this.transport.flush();
    if (Object.is(this.writable, this.rawWritable)) {
      this.destroy();
      return;
    }
    this.reader.pause();
    closeTls(this.transport, this.writable, this.closed, () => {
      this.destroy();
    });
  }

  private timedOut(code: string, text: string): void {
    this.context.losses.timedOut++;
    this.fail(new NbdError(code, text));
  }

  /** Fails a negotiation, unless the client has listed exports, which it may ask about. */
  private handshakeLate(): void {
    const { handshakeTimeoutMs } = this.context.limits;
    const extraMs = this.conversation.exportsListed * handshakeMsPerExport;
    const fail = (): void => {
      const { awaitedExport } = this.conversation;
      const what =
        awaitedExport === undefined
          ? 'The client did not choose an export'
          : `The disk of the export ${quoted(awaitedExport)} did not answer a client`;
      this.timedOut(
        'NBDCORK_HANDSHAKE_TIMEOUT',
        `${what} within ${handshakeTimeoutMs + extraMs} ms.`,
      );
    };
    if (extraMs === 0) fail();
    else this.handshakeTimer = setTimeout(fail, Math.min(extraMs, timerMsMax));
  }

  private async release(): Promise<void> {
    clearTimeout(this.handshakeTimer);
    this.handshakeBytes.close(new NbdError('NBDCORK_CLIENT_LEFT', 'The connection is closed.'));
    await this.session?.close();
  }

  private log(level: 'debug' | 'warn', error: unknown, what: string): void {
    this.context.logger[level](
      { peer: this.peer, export: this.exportName, code: codeOf(error) },
      `${what}: ${messageOf(error)}`,
    );
  }
}

function defer(callback: () => void): void {
  setImmediate(callback);
}
