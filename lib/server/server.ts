import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf, NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import {
  busyPollMicrosecondsDefault,
  busyPollMicrosecondsMax,
  checkedLimits,
  type Limits,
} from '../limits.js';
import { checkStrategy } from '../transport/attach.js';
import { peerCredentialsAvailable, peerCredentials } from '../sockets/peer.js';
import type { Transport } from '../transport/transport.js';
import { formatUri, type Address, type TlsParameters } from '../wire/uri.js';
import type { Allow } from './access.js';
import { BusyPoll } from './busy-poll/busy-poll.js';
import { Catalog } from './exports/catalog.js';
import { Connection, peerName, type ConnectionContext } from './connection.js';
import { listen } from './listener.js';
import { StallWatch } from './stall-watch.js';
import { endsBefore, StopClock } from './stop-clock.js';
import { silentLogger, type ListenOptions, type ServerOptions } from './options.js';
import {
  acceptedStreams,
  duplexStreams,
  stdioStreams,
  type OpenStreams,
} from '../sockets/streams.js';
import { TlsAcceptor } from './tls/acceptor.js';

/** Of the time for stopping: until then clients may take their replies. */
const clientsShare = 0.8;
/** And until then backends may answer; the rest is for flushing and closing them. */
const requestsShare = 0.9;

/**
 * An NBD server, which listens once `listen()` is called.
 * @throws NbdError `NBDCORK_BAD_EXPORT`, `NBDCORK_BAD_STRING`, `NBDCORK_BAD_CONTEXT`,
 *   `NBDCORK_BAD_STRATEGY`, `NBDCORK_BAD_TLS` or `NBDCORK_BAD_LIMIT` for options
 *   that make no sense.
 */
export function createServer(options: ServerOptions): NbdServer {
  return new NbdServer(options);
}

/**
 * Serves its exports to clients: those that connect where it listens, in as many
 * places as wanted, and those that are handed to it on a stream. `createServer`
 * makes one; `close()` ends it, and its backends with it. What goes wrong with a
 * client or a backend is told to that client and to the logger, and makes only
 * `close()` throw.
 */
export class NbdServer {
  private readonly catalog: Catalog;
  private readonly allow: Allow;
  private readonly stallWatch: StallWatch;
  /**
   * Connections that are there, and those that are gone but for what is still
   * done for them. They keep their place: a client that asks a slow backend,
   * leaves and comes back could otherwise pile up requests without a limit.
   */
  private readonly unsettled = new Set<Connection>();
  private readonly context: ConnectionContext;
  private readonly limits: Limits;
  private readonly listeners: { server: Server; address: Address }[] = [];
  private readonly connections = new Set<Connection>();
  private closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.limits = checkedLimits(options.limits ?? {});
    checkStrategy(options.transmit ?? 'auto');
    this.allow = options.allow ?? (() => true);
    this.stallWatch = new StallWatch(this.limits.sendTimeoutMs);
    this.catalog = new Catalog(options.exports, {
      allow: this.allow,
      defaultExport: options.defaultExport,
      openExportsMax: this.limits.openExportsMax,
      logger: options.logger ?? silentLogger,
    });
    this.context = {
      catalog: this.catalog,
      limits: this.limits,
      logger: options.logger ?? silentLogger,
      strategy: options.transmit ?? 'auto',
      busyPoll: new BusyPoll(checkedPoll(options.busyPollMicroseconds) / 1000),
      tls: new TlsAcceptor(options.tls),
    };
    checkTlsExports(this.catalog, this.context.tls);
  }

  /** Connections at this moment. */
  get connectionCount(): number {
    return this.connections.size;
  }

  /** How replies are sent on each connection, and what was sent so far: for measuring. */
  get transports(): readonly Pick<Transport, 'strategy' | 'counters'>[] {
    return [...this.connections].map(({ transport }) => transport);
  }

  /** Where the server listens. */
  get addresses(): readonly Address[] {
    return this.listeners.map(({ address }) => address);
  }

  /**
   * What a client needs to reach an export, at the first place that the server
   * listens at; the default export where no name is given. Where clients must
   * use TLS it says so, with `parameters` of theirs.
   * @throws NbdError `NBDCORK_NOT_LISTENING` before `listen()`.
   */
  uri(exportName = '', parameters: TlsParameters = {}): string {
    const [first] = this.uris(exportName, parameters);
    if (first !== undefined) return first;
    throw new NbdError('NBDCORK_NOT_LISTENING', 'The server does not listen: call listen().');
  }

  /** Likewise for each of the `addresses`. */
  uris(exportName = '', parameters: TlsParameters = {}): readonly string[] {
    const { mode } = this.context.tls;
    const tls = mode === 'require' || this.catalog.requiresTls(exportName);
    return this.addresses.map((address) => formatUri(address, exportName, tls && parameters));
  }

  /**
   * Listen, in one more place with every call.
   * @throws NbdError `NBDCORK_LISTEN` where that is not possible, with the cause;
   *   `NBDCORK_CLOSED` after `close()`.
   */
  async listen(where: ListenOptions = {}): Promise<this> {
    if (this.isClosing()) throw closed();
    const server = createNetServer({ pauseOnConnect: true, allowHalfOpen: true });
    // An inherited socket may have clients that wait already.
    server.on('connection', (socket: Socket) => {
      const client = clientOf(socket, server);
      const refuse = (): unknown => socket.destroy();
      // Reset before it was accepted: nobody is there, and who it was cannot be told.
      if (client === undefined) refuse();
      else this.accept(acceptedStreams(socket, server, this.limits.keepAliveMs), client, refuse);
    });
    const address = await listen(server, where);
    if (this.isClosing()) {
      server.close();
      throw closed();
    }
    this.listeners.push({ server, address });
    server.on('error', (error) => {
      this.context.logger.error({ err: error }, 'listening socket failed');
    });
    return this;
  }

  /** Serve one client on a stream that is connected to it. Settles when it is gone. */
  async serve(stream: Duplex): Promise<void> {
    await this.accept(duplexStreams(stream), { kind: 'stream' }, () => stream.destroy())?.closed;
  }

  /**
   * Serve one client on standard input and output: a socket or two pipes. Settles
   * when it is gone.
   * @throws NbdError `NBDCORK_BAD_STDIO` where they are neither.
   */
  async serveStdio(): Promise<void> {
    await this.accept(
      stdioStreams(this.context.tls.mode !== 'off'),
      { kind: 'stream' },
      () => undefined,
    )?.closed;
  }

  /**
   * Stop: no new clients, and those that have no request in progress are
   * disconnected. Requests in progress are answered; as long as there are some,
   * further ones and options are refused. Then the backends are flushed and
   * closed. What takes longer than `shutdownTimeoutMs` in all is given up.
   * Calling it again waits for the same end.
   * @throws NbdError `NBDCORK_SHUTDOWN_TIMEOUT` where a backend was given up, or a
   *   client's stream that did not close.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private isClosing(): boolean {
    return this.closing !== undefined;
  }

  private accept(open: OpenStreams, client: Client, refuse: () => void): Connection | undefined {
    const full = this.whyFull();
    // A rule may take its time as well: it is asked only about who has a place.
    const verdict = full === undefined && this.mayConnect(client);
    const why = full ?? (verdict === false ? whyNot(client) : undefined);
    if (why !== undefined) {
      this.context.logger.warn({ peer: peerName(client) }, `connection refused: ${why}`);
      refuse();
      return undefined;
    }
    const admitted = typeof verdict === 'boolean' ? undefined : this.decide(client, verdict);
    const connection = new Connection(this.context, open, client, admitted);
    this.connections.add(connection);
    this.stallWatch.add(connection);
    this.unsettled.add(connection);
    void connection.closed.then(() => {
      this.connections.delete(connection);
      this.stallWatch.delete(connection);
    });
    void Promise.all([connection.placeFree, admitted]).then(() =>
      this.unsettled.delete(connection),
    );
    return connection;
  }

  private whyFull(): string | undefined {
    if (this.isClosing()) return 'the server stops';
    const count = this.unsettled.size;
    if (count < this.limits.connectionsMax) return undefined;
    const left = count - this.connections.size;
    const busy = left === 0 ? '' : `, ${left} of them left and wait for a backend`;
    return `there are ${count} already${busy}`;
  }

  private mayConnect(client: Client): boolean | Promise<boolean> {
    try {
      return this.allow(client);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  /** A rule that takes its time. One that fails lets nobody in. */
  private async decide(client: Client, verdict: Promise<boolean>): Promise<boolean> {
    const peer = peerName(client);
    try {
      if (await verdict) return true;
      this.context.logger.warn({ peer }, 'connection refused: it is not allowed');
    } catch (error) {
      this.context.logger.error({ peer, err: error }, `an access rule failed: ${messageOf(error)}`);
    }
    return false;
  }

  private async shutDown(): Promise<void> {
    const clock = new StopClock(this.limits.shutdownTimeoutMs);
    const clientsLate = clock.after(clientsShare);
    const requestsLate = clock.after(requestsShare);
    const backendsLate = clock.after(1);
    const listenersClosed = this.listeners.map(({ server }) => stopListening(server));
    const connections = [...this.connections];
    for (const connection of connections) connection.shutDown();
    const sessions = connections.filter(({ isHandshaking }) => !isHandshaking);
    await endsBefore(clientsLate, Promise.all(sessions.map(({ closed }) => closed)));
    for (const connection of this.connections) connection.destroy();
    const answered: Connection[] = [];
    const answers = [...this.unsettled].map((connection) =>
      connection.answered.then(() => answered.push(connection)),
    );
    // They are answered behind their end: a stream that was handed to us may take any time for it.
    const requestsAnswered = await endsBefore(
      requestsLate,
      Promise.all([...listenersClosed, ...answers]),
    );
    // What belongs to one connection closes by itself, but behind the last answer.
    const own = answered.map(({ settled }) => settled);
    const backendsClosed = await endsBefore(
      backendsLate,
      Promise.all([this.catalog.backends.close(), ...own]),
    );
    clock.clear();
    if (requestsAnswered && backendsClosed) return;
    throw new NbdError(
      'NBDCORK_SHUTDOWN_TIMEOUT',
      `A backend or a stream was not done within ${this.limits.shutdownTimeoutMs} ms and was given up: ` +
        'what was not flushed may be lost.',
    );
  }
}

function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}

function closed(): NbdError {
  return new NbdError('NBDCORK_CLOSED', 'The server is closed: create another.');
}

function whyNot({ kind }: Client): string {
  return kind === 'unix' && !peerCredentialsAvailable
    ? 'it is not allowed; who it is cannot be told without the addon'
    : 'it is not allowed';
}

function checkTlsExports(catalog: Catalog, { mode }: TlsAcceptor): void {
  const needy = catalog.names.find((name) => catalog.requiresTls(name));
  if (needy === undefined || mode !== 'off') return;
  throw new NbdError(
    'NBDCORK_BAD_TLS',
    `The export '${needy}' needs TLS, which is off: give a certificate or pre-shared keys.`,
  );
}

function checkedPoll(microseconds = busyPollMicrosecondsDefault): number {
  if (microseconds >= 0 && microseconds <= busyPollMicrosecondsMax) return microseconds;
  throw new NbdError(
    'NBDCORK_BAD_LIMIT',
    `busyPollMicroseconds must be a number from 0 to ${busyPollMicrosecondsMax}.`,
  );
}

function clientOf(socket: Socket, server: Server): Client | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) {
    return { kind: 'tcp', address: remoteAddress, port: remotePort ?? 0 };
  }
  // Node knows no address of a Unix socket that was inherited.
  const address = server.address();
  const listensOnTcp = typeof address === 'object' && address !== null;
  return listensOnTcp ? undefined : { kind: 'unix', ...peerCredentials(socket) };
}
