/**
 * A client from its first byte to its last: handshake, then transmission.
 * Caller: server.ts. Calls: handshake/negotiation.ts, transmission/session.ts.
 * Owns: the streams, the transport, the handshake's timer. The method
 * `received` is hot, everything else is cold.
 */
import { Duplex, type Readable, type Writable } from 'node:stream';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { Channel } from '../handshake/channel.js';
import type { Client } from '../handshake/client.js';
import { blockSizeOf } from '../handshake/flags.js';
import { Negotiation, type ChosenExport } from '../handshake/negotiation.js';
import type { Secured } from '../handshake/security.js';
import { unixSendBufferBytes, type Limits } from '../limits.js';
import { Session, type Batches } from '../transmission/session.js';
import { attach, type AttachOptions } from '../transport/attach.js';
import { waitingBytes } from '../transport/handle.js';
import type { Transport } from '../transport/transport.js';
import type { BusyPoll } from './busy-poll.js';
import type { Catalog } from './catalog.js';
import { ConnectionExports } from './connection-exports.js';
import { FailureLog } from './failure-log.js';
import type { Logger } from './options.js';
import type { Watched } from './stall-watch.js';
import type { OpenStreams } from './streams.js';
import type { TlsAcceptor } from './tls.js';

/**
 * All connections of a thread read into the same memory: what a read brought
 * is consumed or copied before the next one begins.
 */
const receiveBuffer = new Uint8Array(256 * 1024);
const receiveView = new DataView(receiveBuffer.buffer);

/** What a connection needs of its server. */
export interface ConnectionContext {
  readonly catalog: Catalog;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly strategy: NonNullable<AttachOptions['strategy']>;
  readonly busyPoll: BusyPoll;
  readonly tls: TlsAcceptor;
}

export class Connection implements Watched {
  /** Settles when the connection is gone. */
  readonly closed: Promise<void>;
  /** Settles when backends, too, have answered its requests. */
  readonly answered: Promise<void>;
  /** Settles when nobody works for it any more: what was opened for it alone is closed. */
  readonly settled: Promise<void>;
  /** Settles when nothing of the user's is asked for it any more, either. */
  readonly placeFree: Promise<void>;
  /** These three are others once TLS is in use. */
  transport: Transport;
  private input: Readable;
  private output: Writable;
  private readonly context: ConnectionContext;
  private readonly peer: string;
  private readonly client: Client;
  private readonly channel: Channel;
  private readonly handshakeTimer: NodeJS.Timeout;
  private readonly exports: ConnectionExports;
  private readonly negotiation: Negotiation;
  private session: Session | undefined;
  /** The read in progress goes straight into a payload's place. */
  private direct = false;
  private paused = false;
  private stopping = false;
  private batches: Batches = 'read';
  private receivingChunk = false;
  /** At the end, wait for the client's. */
  private lingers = false;
  private exportName = '';
  private readonly failures = new FailureLog((level, error, what) => {
    this.log(level, error, what);
  });

  constructor(context: ConnectionContext, open: OpenStreams, client: Client) {
    this.context = context;
    this.client = client;
    this.peer = peerName(client);
    this.channel = new Channel(context.limits.optionBytesMax, () => {
      this.readOn();
    });
    const streams = open({
      buffer: () => this.nextBuffer(),
      callback: (count) => this.received(count),
    });
    this.input = streams.input;
    this.output = streams.output;
    this.transport = attach(this.output, {
      strategy: context.strategy,
      sendBufferBytes: unixSendBufferBytes,
    });
    this.exports = new ConnectionExports(context.catalog);
    const { limits } = context;
    this.negotiation = new Negotiation(this.transport, client, this.exports, limits, {
      mode: context.tls.mode,
      startTls: (acknowledge) => this.startTls(acknowledge),
    });
    this.closed = this.listen(streams.readsInto);
    this.answered = this.closed.then(() => this.release());
    this.settled = this.answered.then(() => this.exports.close());
    this.placeFree = this.settled.then(() => this.exports.answered());
    this.handshakeTimer = setTimeout(() => {
      this.cut(
        new NbdError(
          'NBDCORK_HANDSHAKE_TIMEOUT',
          `The client chose no export within ${context.limits.handshakeTimeoutMs} ms.`,
        ),
      );
    }, context.limits.handshakeTimeoutMs);
    void this.shakeHands();
  }

  /** True before the client has chosen an export. */
  get isHandshaking(): boolean {
    return this.session === undefined;
  }

  get waitingBytes(): number {
    return waitingBytes(this.output);
  }

  stalled(): void {
    const { sendTimeoutMs } = this.context.limits;
    this.cut(
      new NbdError(
        'NBDCORK_CLIENT_STALLED',
        `The client has read nothing for ${sendTimeoutMs} ms of the replies that wait for it.`,
      ),
    );
  }

  /** Answer what is in progress, then end; in the handshake, tell whoever asks. */
  shutDown(): void {
    this.stopping = true;
    if (this.session === undefined) {
      this.negotiation.stop();
      return;
    }
    this.lingers = !this.session.idle;
    this.session.stop();
  }

  destroy(): void {
    this.input.destroy();
    this.output.destroy();
  }

  /** Settles when the streams in use are closed. */
  private listen(readsInto: boolean): Promise<void> {
    const { input, output } = this;
    if (!readsInto) input.on('data', this.chunkArrived);
    input.on('end', () => {
      this.inputEnded();
    });
    output.on('drain', () => {
      this.session?.drained();
    });
    const closings = [...new Set<Readable | Writable>([input, output])].map((stream) => {
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
    input.resume();
    return Promise.all(closings).then(() => undefined);
  }

  private async shakeHands(): Promise<void> {
    try {
      const chosen = await this.negotiation.run(this.channel);
      if (chosen === undefined) this.end();
      else if (!this.output.destroyed) this.transmit(chosen);
    } catch (error) {
      this.cut(error);
    } finally {
      clearTimeout(this.handshakeTimer);
    }
  }

  /** Go on with the same connection, but encrypted. */
  private async startTls(acknowledge: () => void): Promise<Secured> {
    const { tls, logger, strategy } = this.context;
    // The client has to wait for the answer, so who sends more is somebody who
    // would have it taken for what comes encrypted (as in CVE-2021-3716).
    if (!this.channel.empty) {
      throw new NbdError(
        'NBDCORK_TLS_INJECTION',
        'Something came behind NBD_OPT_STARTTLS in the clear: the client is broken, or attacked.',
      );
    }
    // What comes from now on is for OpenSSL, which refuses what is not encrypted.
    this.pause();
    acknowledge();
    await this.transport.sent();
    this.input.off('data', this.chunkArrived);
    const secured = await tls.accept(duplexOf(this.input, this.output), {
      buffer: () => this.nextBuffer(),
      callback: (count) => this.receivedRecord(count),
    });
    this.batches = 'tick';
    this.input = secured.socket;
    this.output = secured.socket;
    this.transport = attach(secured.socket, { strategy });
    this.paused = false;
    void this.listen(secured.readsInto);
    const client = { ...this.client, tls: secured.tls };
    logger.debug({ peer: this.peer, ...secured.tls }, 'TLS is in use');
    return { transport: this.transport, client };
  }

  private transmit(chosen: ChosenExport): void {
    const { limits, logger } = this.context;
    const blockSize = blockSizeOf(chosen.entry.backend, limits.requestBytesMax);
    const agreement = {
      backend: chosen.entry.backend,
      headers: chosen.headers,
      contexts: chosen.contexts,
      transmissionFlags: chosen.transmissionFlags,
      minimumBytes: blockSize.minimum,
      requestBytesMax: blockSize.maximum,
    };
    this.exportName = chosen.entry.name;
    this.session = new Session(agreement, this.transport, limits, this.batches, {
      readOn: () => {
        this.readOn();
      },
      disconnected: () => {
        this.end();
      },
      broken: (error) => {
        this.cut(error);
      },
      requestFailed: (error, command) => {
        this.failures.add(error, command);
      },
    });
    logger.debug({ peer: this.peer, export: this.exportName }, 'client connected');
    // "Data sent right behind GO": the client may not have waited for the answer.
    const early = this.channel.rest();
    if (early.byteLength > 0) this.chunkArrived(early);
    else this.readOn();
    if (this.stopping) this.shutDown();
    if (this.input.readableEnded) this.session.end();
  }

  private nextBuffer(): Uint8Array {
    const target = this.session?.directTarget();
    this.direct = target !== undefined;
    return target ?? receiveBuffer;
  }

  /** A read brought `count` bytes. False stops reading. */
  private received(count: number): boolean {
    const { busyPoll } = this.context;
    busyPoll.arrived();
    const more = this.receivedRecord(count);
    busyPoll.idle();
    return more;
  }

  /** Likewise of TLS, which brings a record at a time. */
  private receivedRecord(count: number): boolean {
    const { session } = this;
    let more: boolean;
    if (session === undefined) more = this.channel.push(receiveBuffer.subarray(0, count));
    else if (this.direct) more = session.received(count);
    else more = session.receive(receiveBuffer, receiveView, 0, count);
    this.paused = !more;
    return more;
  }

  private readonly chunkArrived = (chunk: Buffer): void => {
    if (this.receivingChunk) {
      // The other end of a Duplex may answer while we write to it: that waits its turn.
      this.pause();
      this.input.unshift(chunk);
      return;
    }
    this.receivingChunk = true;
    const more = this.receivedChunk(chunk);
    this.receivingChunk = false;
    if (more) this.readOn();
    else this.pause();
  };

  private receivedChunk({ buffer, byteOffset, byteLength }: Buffer): boolean {
    // No Buffer: that one's `slice` does not copy.
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    if (this.session === undefined) return this.channel.push(bytes);
    const view = new DataView(buffer, byteOffset, byteLength);
    return this.session.receive(bytes, view, 0, byteLength);
  }

  private inputEnded(): void {
    if (this.output.writableFinished) this.destroy();
    else if (this.session !== undefined) this.session.end();
    else {
      this.channel.close(
        new NbdError('NBDCORK_CLIENT_LEFT', 'The client left during the handshake.'),
      );
    }
  }

  private pause(): void {
    this.paused = true;
    this.input.pause();
  }

  private readOn(): void {
    if (!this.paused || this.input.destroyed) return;
    this.paused = false;
    this.input.resume();
  }

  /**
   * Close after the last reply. Where a client did not agree to that it may be
   * sending: closing a TCP socket with something unread resets the connection,
   * and the client would lose the replies that it has yet to read.
   */
  private end(): void {
    const { input, output } = this;
    if (output.writableEnded) return;
    output.once('finish', () => {
      if (!this.lingers || input.readableEnded) this.destroy();
    });
    this.transport.end();
    if (this.lingers) this.readOn();
  }

  /** Close at once, because of the client. */
  private cut(error: unknown): void {
    if (codeOf(error) === 'NBDCORK_CLIENT_LEFT') this.log('debug', error, 'connection closed');
    else this.log('warn', error, 'connection closed');
    this.transport.flush();
    this.destroy();
  }

  private async release(): Promise<void> {
    clearTimeout(this.handshakeTimer);
    this.channel.close(new NbdError('NBDCORK_CLIENT_LEFT', 'The connection is closed.'));
    await this.session?.close();
  }

  private log(level: 'debug' | 'warn', error: unknown, what: string): void {
    this.context.logger[level](
      { peer: this.peer, export: this.exportName, code: codeOf(error) },
      `${what}: ${messageOf(error)}`,
    );
  }
}

/** For the log. */
export function peerName({ kind, address, port }: Client): string {
  return address === undefined ? kind : `${address} port ${port ?? 0}`;
}

/** Two pipes become one stream for TLS. */
function duplexOf(input: Readable, output: Writable): Duplex {
  if (output instanceof Duplex && Object.is(input, output)) return output;
  return Duplex.from({ readable: input, writable: output });
}
