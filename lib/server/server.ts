import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { NbdError } from '../errors.js';
import { checkedLimits } from '../limits.js';
import { descriptorOf } from '../sockets/handle.js';
import { acceptedStreams, duplexStreams, stdioStreams } from '../sockets/streams.js';
import type { Transport } from '../transport/transport.js';
import { formatUri, type Address, type TlsParameters } from '../wire/uri.js';
import { clientOf, listen, type Listening } from './listener.js';
import type { ListenOptions, ServerOptions } from './options.js';
import { defaultMemoryBytes, Serving } from './serving.js';
import { checkedThreads, limitsOfThread, threadOptions } from './threads/thread-options.js';
import { ThreadPool } from './threads/thread-pool.js';

/** Share of the shutdown timeout that other threads have, so that they can report before its end. */
const threadsShare = 0.85;

/**
 * Creates an NBD server, which does not listen before `listen()` is called.
 * @throws NbdError `NBDCORK_BAD_EXPORT`, `NBDCORK_BAD_STRING`, `NBDCORK_BAD_CONTEXT`,
 *   `NBDCORK_BAD_STRATEGY`, `NBDCORK_BAD_TLS`, `NBDCORK_BAD_LIMIT` or `NBDCORK_BAD_THREADS`
 *   for invalid options.
 */
export function createServer(options: ServerOptions): NbdServer {
  return new NbdServer(options);
}

/**
 * Serves its exports to clients: those that connect to one of its listening sockets,
 * and those that are passed to it as a stream. `createServer` creates one; `close()`
 * ends it, and closes its backends. Errors of a client or a backend are reported to
 * that client and to the logger; only `close()` throws some of them.
 */
export class NbdServer {
  /** What this thread serves. */
  private readonly serving: Serving;
  /** Undefined where this thread serves all clients. */
  private readonly threads: ThreadPool | undefined;
  private readonly listeners: (Listening & { readonly server: Server })[] = [];
  private closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    const all = checkedLimits({ memoryBytesMax: defaultMemoryBytes(), ...options.limits });
    const count = checkedThreads(options);
    const limits = limitsOfThread(all, count);
    this.serving = new Serving(options, limits);
    if (count === 1) return;
    this.threads = new ThreadPool(this.serving, count, threadOptions(options, limits));
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.serving.admission.openCount;
  }

  /**
   * Connections refused so far: closed when they were accepted, because of a limit,
   * the access rules, or because the server is closing.
   */
  get connectionsRefused(): number {
    return this.serving.losses.refused;
  }

  /**
   * Connections closed so far because the client let a time limit pass:
   * `handshakeTimeoutMs`, `sendTimeoutMs` or `idleTimeoutMs`.
   */
  get connectionsTimedOut(): number {
    return this.serving.losses.timedOut;
  }

  /** The strategy and the counters of each open connection, without those on other threads. */
  get transports(): readonly Pick<Transport, 'strategy' | 'counters'>[] {
    return [...this.serving.connections].map(({ transport }) => transport);
  }

  /** Where the server listens. */
  get addresses(): readonly Address[] {
    return this.listeners.map(({ address }) => address);
  }

  /**
   * The URI of an export at the first of the `addresses`; of the default export
   * without a name. If clients must use TLS, the URI says so and has `parameters`.
   * @throws NbdError `NBDCORK_NOT_LISTENING` before `listen()`.
   */
  uri(exportName = '', parameters: TlsParameters = {}): string {
    const [first] = this.uris(exportName, parameters);
    if (first !== undefined) return first;
    throw new NbdError('NBDCORK_NOT_LISTENING', 'The server is not listening: call listen().');
  }

  /** The URIs of an export, at each of the `addresses`. */
  uris(exportName = '', parameters: TlsParameters = {}): readonly string[] {
    const tls = this.serving.tls.mode === 'require' || this.serving.catalog.requiresTls(exportName);
    return this.addresses.map((address) => formatUri(address, exportName, tls && parameters));
  }

  /**
   * Starts listening; may be called several times for several addresses.
   * @throws NbdError `NBDCORK_LISTEN` with the cause; `NBDCORK_CLOSED` after `close()`;
   *   `NBDCORK_THREAD_ENDED` where a thread cannot start.
   */
  async listen(where: ListenOptions = {}): Promise<this> {
    if (this.isClosing()) throw closed();
    await this.threads?.start();
    if (this.isClosing()) throw closed();
    this.serving.admission.measureOpenFiles();
    const server = createNetServer({ pauseOnConnect: true, allowHalfOpen: true });
    // Before listening: clients may be waiting on an inherited socket.
    server.on('connection', (socket: Socket) => {
      const client = clientOf(socket, server);
      const refuse = (): unknown => socket.destroy();
      if (client === undefined) refuse();
      else if (this.threads !== undefined) this.threads.accept(socket, client);
      else {
        const { connections, limits } = this.serving;
        const streams = acceptedStreams(socket, server, limits.keepAliveMs);
        connections.accept(streams, client, refuse, descriptorOf(socket));
      }
    });
    const listening = await listen(server, where);
    if (this.isClosing()) {
      server.close();
      listening.release();
      throw closed();
    }
    this.listeners.push({ server, ...listening });
    server.on('error', (error) => {
      this.serving.logger.error({ err: error }, 'listening socket failed');
    });
    return this;
  }

  /** Serves one client on a connected stream. Resolves when the connection is closed. */
  async serve(stream: Duplex): Promise<void> {
    const refuse = (): unknown => stream.destroy();
    await this.serving.connections.accept(duplexStreams(stream), { kind: 'stream' }, refuse)
      ?.closed;
  }

  /**
   * Serves one client on standard input and output, which must be a socket or two
   * pipes. Resolves when the connection is closed.
   * @throws NbdError `NBDCORK_BAD_STDIO` if they are neither.
   */
  async serveStdio(): Promise<void> {
    const streams = stdioStreams(this.serving.tls.mode !== 'off');
    await this.serving.connections.accept(streams, { kind: 'stream' }, () => undefined)?.closed;
  }

  /**
   * Stops the server. Connections without requests in progress are closed at once;
   * others when those are answered, and until then refuse further requests and
   * options. Then the backends are flushed and closed. All of it may take
   * `shutdownTimeoutMs`. Further calls return the same promise.
   * @throws NbdError `NBDCORK_SHUTDOWN_TIMEOUT` if a backend or the stream of a
   *   client did not finish in time; `NBDCORK_DATA_LOST` if a disk that can be
   *   written could not be flushed or closed, at this time or before. With several
   *   such disks, the `cause` is an `AggregateError`.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private isClosing(): boolean {
    return this.closing !== undefined;
  }

  private async shutDown(): Promise<void> {
    const { serving, threads } = this;
    const { shutdownTimeoutMs } = serving.limits;
    const threadsStopped = (): Promise<void>[] =>
      threads === undefined ? [] : [threads.stop(shutdownTimeoutMs * threadsShare)];
    const others = (): Promise<void>[] => [
      ...this.listeners.map(stopListening),
      ...threadsStopped(),
    ];
    let ended = false;
    try {
      await serving.close(others);
      if (threads?.failure !== undefined) throw threads.failure;
      ended = true;
    } finally {
      await threads?.terminate(ended);
    }
  }
}

function stopListening({ server, release }: Listening & { server: Server }): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    release();
  });
}

function closed(): NbdError {
  return new NbdError('NBDCORK_CLOSED', 'The server is closed: create a new one.');
}
