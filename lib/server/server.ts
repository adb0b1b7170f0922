import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { NbdError } from '../errors.js';
import { checkedLimits, defaultLimits, type Limits } from '../limits.js';
import { quoted } from '../quoted.js';
import { descriptorOf } from '../sockets/handle.js';
import { acceptedStreams, duplexStreams, stdioStreams } from '../sockets/streams.js';
import { memoryBytesMax } from '../memory/pages.js';
import { MemoryBudget } from '../transmission/memory/memory-budget.js';
import { checkStrategy } from '../transport/attach.js';
import type { Transport } from '../transport/transport.js';
import { formatUri, type Address, type TlsParameters } from '../wire/uri.js';
import { AccessControl } from './access.js';
import { BusyPoll, checkedBusyPoll } from './busy-poll/busy-poll.js';
import type { Connection, ConnectionLosses } from './connection.js';
import { Connections } from './connections.js';
import { Catalog } from './exports/catalog.js';
import { clientOf, listen, type Listening } from './listener.js';
import { LimitedLogger } from './log/limited-logger.js';
import { silentLogger } from './log/logger.js';
import type { ListenOptions, ServerOptions } from './options.js';
import { endsBefore, StopClock } from './stop-clock.js';
import { TlsAcceptor } from './tls/acceptor.js';

/** Share of the shutdown timeout until which clients may read their replies. */
const clientsShare = 0.8;
/** Share until which backends may answer requests; the rest is for flushing and closing them. */
const requestsShare = 0.9;

/**
 * Creates an NBD server, which does not listen before `listen()` is called.
 * @throws NbdError `NBDCORK_BAD_EXPORT`, `NBDCORK_BAD_STRING`, `NBDCORK_BAD_CONTEXT`,
 *   `NBDCORK_BAD_STRATEGY`, `NBDCORK_BAD_TLS` or `NBDCORK_BAD_LIMIT` for invalid options.
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
  private readonly catalog: Catalog;
  private readonly connections: Connections;
  private readonly losses: ConnectionLosses = { refused: 0, timedOut: 0 };
  private readonly limits: Limits;
  private readonly logger: LimitedLogger;
  private readonly tls: TlsAcceptor;
  private readonly listeners: (Listening & { readonly server: Server })[] = [];
  private closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    const { transmit = 'auto' } = options;
    const logger = new LimitedLogger(options.logger ?? silentLogger);
    const limits = checkedLimits({ memoryBytesMax: defaultMemoryBytes(), ...options.limits });
    checkStrategy(transmit);
    const access = new AccessControl(options.allow, logger);
    this.limits = limits;
    this.logger = logger;
    this.catalog = new Catalog(options.exports, {
      access,
      defaultExport: options.defaultExport,
      openExportsMax: limits.openExportsMax,
      logger,
    });
    this.tls = new TlsAcceptor(options.tls);
    checkTlsExports(this.catalog, this.tls);
    const context = {
      catalog: this.catalog,
      limits,
      memoryBudget: new MemoryBudget(limits.memoryBytesMax),
      logger,
      strategy: transmit,
      busyPoll: new BusyPoll(checkedBusyPoll(options.busyPollMicroseconds) / 1000),
      tls: this.tls,
      losses: this.losses,
    };
    this.connections = new Connections(context, access);
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.connections.count;
  }

  /**
   * Connections refused so far: closed when they were accepted, because of a limit,
   * the access rules, or because the server is closing.
   */
  get connectionsRefused(): number {
    return this.losses.refused;
  }

  /**
   * Connections closed so far because the client let a time limit pass:
   * `handshakeTimeoutMs`, `sendTimeoutMs` or `idleTimeoutMs`.
   */
  get connectionsTimedOut(): number {
    return this.losses.timedOut;
  }

  /** The strategy and the counters of each open connection. */
  get transports(): readonly Pick<Transport, 'strategy' | 'counters'>[] {
    return [...this.connections].map(({ transport }) => transport);
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
    const tls = this.tls.mode === 'require' || this.catalog.requiresTls(exportName);
    return this.addresses.map((address) => formatUri(address, exportName, tls && parameters));
  }

  /**
   * Starts listening; may be called several times for several addresses.
   * @throws NbdError `NBDCORK_LISTEN` with the cause; `NBDCORK_CLOSED` after `close()`.
   */
  async listen(where: ListenOptions = {}): Promise<this> {
    if (this.isClosing()) throw closed();
    this.connections.measureOpenFiles();
    const server = createNetServer({ pauseOnConnect: true, allowHalfOpen: true });
    // Before listening: clients may be waiting on an inherited socket.
    server.on('connection', (socket: Socket) => {
      const client = clientOf(socket, server);
      const refuse = (): unknown => socket.destroy();
      if (client === undefined) refuse();
      else {
        const streams = acceptedStreams(socket, server, this.limits.keepAliveMs);
        this.connections.accept(streams, client, refuse, descriptorOf(socket));
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
      this.logger.error({ err: error }, 'listening socket failed');
    });
    return this;
  }

  /** Serves one client on a connected stream. Resolves when the connection is closed. */
  async serve(stream: Duplex): Promise<void> {
    const refuse = (): unknown => stream.destroy();
    await this.connections.accept(duplexStreams(stream), { kind: 'stream' }, refuse)?.closed;
  }

  /**
   * Serves one client on standard input and output, which must be a socket or two
   * pipes. Resolves when the connection is closed.
   * @throws NbdError `NBDCORK_BAD_STDIO` if they are neither.
   */
  async serveStdio(): Promise<void> {
    const streams = stdioStreams(this.tls.mode !== 'off');
    await this.connections.accept(streams, { kind: 'stream' }, () => undefined)?.closed;
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
    this.closing ??= this.shutDown().finally(() => {
      this.logger.flush();
    });
    return this.closing;
  }

  private isClosing(): boolean {
    return this.closing !== undefined;
  }

  private async shutDown(): Promise<void> {
    const clock = new StopClock(this.limits.shutdownTimeoutMs);
    const clientsLate = clock.after(clientsShare);
    const requestsLate = clock.after(requestsShare);
    const backendsLate = clock.after(1);
    this.connections.stopAccepting();
    const listenersClosed = this.listeners.map(stopListening);
    await this.connections.end(clientsLate);
    const answered: Connection[] = [];
    const answers = this.connections.unfinished.map((connection) =>
      connection.answered.then(() => answered.push(connection)),
    );
    // The listeners close after their last socket, and a stream of the user may close late.
    const requestsAnswered = await endsBefore(
      requestsLate,
      Promise.all([...listenersClosed, ...answers]),
    );
    // A backend of one connection is closed by it, after the last answer.
    const ownBackendsClosed = answered.map(({ backendClosed }) => backendClosed);
    const backendsClosed = await endsBefore(
      backendsLate,
      Promise.all([this.catalog.backends.close(), ...ownBackendsClosed]),
    );
    clock.clear();
    const { dataLoss } = this.catalog.backends.closer;
    if (requestsAnswered && backendsClosed) {
      if (dataLoss !== undefined) throw dataLoss;
      return;
    }
    throw new NbdError(
      'NBDCORK_SHUTDOWN_TIMEOUT',
      `A backend or a stream did not finish within ${this.limits.shutdownTimeoutMs} ms: ` +
        'data that was not flushed may be lost.',
      dataLoss,
    );
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

/** Share of the machine's memory that payloads may take. */
const memoryShare = 1 / 8;

function defaultMemoryBytes(): number {
  return Math.max(defaultLimits.memoryBytesMax, Math.floor(memoryBytesMax() * memoryShare));
}

function checkTlsExports(catalog: Catalog, { mode }: TlsAcceptor): void {
  const name = catalog.names.find((each) => catalog.requiresTls(each));
  if (name === undefined || mode !== 'off') return;
  throw new NbdError(
    'NBDCORK_BAD_TLS',
    `The export ${quoted(name)} requires TLS, which is off: add a certificate or pre-shared keys.`,
  );
}
