/**
 * A client from its first byte to its last: handshake, then transmission.
 * Caller: server.ts. Calls: handshake/negotiate.ts, transmission/session.ts.
 * Owns: the streams, the transport, the handshake's timer. All of it is cold:
 * what every read goes through is input.ts.
 */
import { Duplex, type Readable, type Writable } from 'node:stream';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { ByteQueue } from '../handshake/byte-queue.js';
import type { Client, SecureConnection } from '../handshake/client.js';
import { Conversation } from '../handshake/conversation.js';
import { negotiate } from '../handshake/negotiate.js';
import type { Limits } from '../limits.js';
import type { Agreement } from '../transmission/agreement.js';
import { Session, type FlushPoint, type SessionEvents } from '../transmission/session.js';
import { attach, type AttachOptions } from '../transport/attach.js';
import { pendingBytes } from '../sockets/handle.js';
import { unreadByPeer } from '../sockets/peer.js';
import type { Transport } from '../transport/transport.js';
import type { BusyPoll } from './busy-poll/busy-poll.js';
import type { Catalog } from './exports/catalog.js';
import { ConnectionExports } from './exports/connection-exports.js';
import { FailureLog } from './failure-log.js';
import { Input } from './input.js';
import type { Logger } from './options.js';
import { peerName } from './peer.js';
import type { Watched } from './stall-watch.js';
import type { OpenStreams } from '../sockets/streams.js';
import type { TlsAcceptor } from './tls/acceptor.js';

/** Time for a client to close TLS after its connection has failed. */
const tlsCloseTimeoutMs = 1000;

/**
 * What the kernel may queue for a client on a Unix socket: twice the default, so
 * that the replies to 64 requests of 4 KiB leave in one call. A client uses this
 * memory only while it does not read.
 */
const unixSendBufferBytes = 256 * 2 ** 10;

/** The parts of the server that all its connections share. */
export interface ConnectionContext {
  readonly catalog: Catalog;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly strategy: NonNullable<AttachOptions['strategy']>;
  readonly busyPoll: BusyPoll;
  readonly tls: TlsAcceptor;
}

export class Connection implements Watched {
  /** Settles when the streams are closed. */
  readonly closed: Promise<void>;
  /** Settles when backends, too, have answered its requests. */
  readonly answered: Promise<void>;
  /** Settles when the backend that was opened for it alone, if any, is closed too. */
  readonly backendClosed: Promise<void>;
  /** Settles when no function of the user is running for it either: it no longer counts. */
  readonly slotReleased: Promise<void>;
  // These three are others once TLS is in use.
  transport: Transport;
  private readable: Readable;
  private writable: Writable;
  /** What is written to where there is no TLS, and what OpenSSL writes to where there is. */
  private readonly beneath: Writable;
  private readonly context: ConnectionContext;
  private readonly peer: string;
  private readonly client: Client;
  private readonly handshakeBytes: ByteQueue;
  private readonly input: Input;
  private readonly handshakeTimer: NodeJS.Timeout;
  private readonly exports: ConnectionExports;
  private readonly conversation: Conversation;
  private session: Session | undefined;
  private stopping = false;
  private flushPoint: FlushPoint = 'read';
  /** At the end, wait for the client's. */
  private lingers = false;
  private exportName = '';
  private readonly failures = new FailureLog((level, error, what) => {
    this.log(level, error, what);
  });

  /** `admitted`: whether the client may be here at all, where that is still being asked. */
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
      this.input.readOn();
    });
    this.input = new Input(this.handshakeBytes, context.busyPoll);
    const streams = open({
      buffer: () => this.input.nextBuffer(),
      callback: (count) => this.input.received(count),
    });
    this.readable = streams.input;
    this.writable = streams.output;
    this.beneath = streams.output;
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
      this.cut(
        new NbdError(
          'NBDCORK_HANDSHAKE_TIMEOUT',
          `The client did not choose an export within ${context.limits.handshakeTimeoutMs} ms.`,
        ),
      );
    }, context.limits.handshakeTimeoutMs);
    void this.shakeHands(admitted);
  }

  /** True before the client has chosen an export. */
  get isNegotiating(): boolean {
    return this.session === undefined;
  }

  /**
   * What waits here would not tell: it stays the same for long while a slow client
   * reads. The kernel takes more only when much of what it has is read, and OpenSSL
   * a whole batch at a time.
   */
  get readByPeerBytes(): number | undefined {
    const waiting = pendingBytes(this.writable);
    if (waiting === 0) return undefined;
    return this.transport.counters.bytes - waiting - unreadByPeer(this.beneath);
  }

  stalled(): void {
    const { sendTimeoutMs } = this.context.limits;
    this.cut(
      new NbdError(
        'NBDCORK_CLIENT_STALLED',
        `The client has not read its replies for ${sendTimeoutMs} ms.`,
      ),
    );
  }

  /** Answer what is in progress, then end; in the handshake, tell whoever asks. */
  shutDown(): void {
    this.stopping = true;
    if (this.session === undefined) {
      this.conversation.stopping = true;
      return;
    }
    this.lingers = !this.session.idle;
    this.session.stop();
  }

  destroy(): void {
    this.readable.destroy();
    this.writable.destroy();
  }

  /** Settles when the streams in use are closed. */
  private follow(readsInto: boolean): Promise<void> {
    const { readable, writable } = this;
    this.input.readFrom(readable, readsInto);
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

  private async shakeHands(admitted: Promise<boolean> | undefined): Promise<void> {
    try {
      // Until then nothing is said to it, and nothing is done for it.
      if (admitted !== undefined) {
        if (!(await admitted)) this.destroy();
        if (this.writable.destroyed) return;
      }
      const agreement = await negotiate(this.conversation, this.handshakeBytes);
      if (agreement === undefined) this.end();
      else if (!this.writable.destroyed) this.transmit(agreement);
    } catch (error) {
      this.cut(error);
    } finally {
      clearTimeout(this.handshakeTimer);
    }
  }

  /** Go on with the same connection, but encrypted. */
  private async startTls(acknowledge: () => void): Promise<SecureConnection> {
    const { tls, logger, strategy } = this.context;
    // The client has to wait for the answer, so who sends more is somebody who
    // would have it taken for what comes encrypted (as in CVE-2021-3716).
    if (!this.handshakeBytes.empty) {
      throw new NbdError(
        'NBDCORK_TLS_INJECTION',
        'Plaintext received after NBD_OPT_STARTTLS: the client is faulty, or under attack.',
      );
    }
    // What comes from now on is for OpenSSL, which refuses what is not encrypted.
    this.input.pause();
    acknowledge();
    await this.transport.sent();
    this.input.letGo();
    const secured = await tls.accept(duplexOf(this.readable, this.writable), {
      buffer: () => this.input.nextBuffer(),
      callback: (count) => this.input.received(count),
    });
    this.flushPoint = 'tick';
    this.readable = secured.socket;
    this.writable = secured.socket;
    this.transport = attach(secured.socket, { strategy });
    void this.follow(secured.readsInto);
    const client = { ...this.client, tls: secured.tls };
    logger.debug({ peer: this.peer, ...secured.tls }, 'TLS is in use');
    return { sender: this.transport, client };
  }

  private transmit(agreement: Agreement): void {
    const { limits, logger } = this.context;
    this.exportName = agreement.export.name;
    this.session = new Session(agreement, this.transport, {
      limits,
      flushPoint: this.flushPoint,
      events: this.sessionEvents(),
      defer,
      allocate: (bytes) => Buffer.allocUnsafeSlow(bytes),
    });
    logger.debug({ peer: this.peer, export: this.exportName }, 'client connected');
    // The client may have sent requests right behind NBD_OPT_GO, without waiting for the answer.
    this.input.deliverTo(this.session, this.handshakeBytes.takeAll());
    if (this.stopping) this.shutDown();
    if (this.readable.readableEnded) this.session.end();
  }

  private sessionEvents(): SessionEvents {
    return {
      resume: () => {
        this.input.readOn();
      },
      sessionEnded: () => {
        this.end();
      },
      sessionFailed: (error) => {
        this.cut(error);
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
   * Close after the last reply. Where a client did not agree to that it may be
   * sending: closing a TCP socket with something unread resets the connection,
   * and the client would lose the replies that it has yet to read.
   */
  private end(): void {
    const { readable, writable } = this;
    if (writable.writableEnded) return;
    writable.once('finish', () => {
      if (!this.lingers || readable.readableEnded) this.destroy();
    });
    this.transport.end();
    if (this.lingers) this.input.readOn();
  }

  /** Close at once, because of the client. */
  private cut(error: unknown): void {
    if (codeOf(error) === 'NBDCORK_CLIENT_LEFT') this.log('debug', error, 'connection closed');
    else this.log('warn', error, 'connection closed');
    this.transport.flush();
    this.hangUp();
  }

  /**
   * "If TLS is negotiated, the party initiating the transaction SHOULD shutdown TLS
   * first" ("Termination of the session during option haggling"): where nothing waits
   * for the client before that, and as long as the client may take.
   */
  private hangUp(): void {
    const { writable } = this;
    const secured = !Object.is(writable, this.beneath);
    if (!secured || !writable.writable || writable.writableLength > 0) {
      this.destroy();
      return;
    }
    this.input.pause();
    const timer = setTimeout(() => {
      this.destroy();
    }, tlsCloseTimeoutMs);
    writable.once('finish', () => {
      this.destroy();
    });
    void this.closed.then(() => {
      clearTimeout(timer);
    });
    this.transport.end();
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

/** Two pipes become one stream for TLS. */
function duplexOf(readable: Readable, writable: Writable): Duplex {
  if (writable instanceof Duplex && Object.is(readable, writable)) return writable;
  return Duplex.from({ readable, writable });
}
