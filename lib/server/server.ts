import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import { defaultLimits, type Limits } from '../limits.js';
import { formatUri, type Address, type TlsParameters } from '../wire/uri.js';
import { BusyPoll, busyPollDefault, busyPollMax } from './busy-poll.js';
import { StaticCatalog } from './catalog.js';
import { Connection, peerName, type ConnectionContext } from './connection.js';
import { listen } from './listener.js';
import { silentLogger, type ListenOptions, type ServerOptions } from './options.js';
import { acceptedStreams, duplexStreams, stdioStreams, type OpenStreams } from './streams.js';
import { TlsAcceptor } from './tls.js';

const limitsMax: Readonly<Record<string, number>> = {
  // Lengths have 32 bits in the protocol, and those of replies count their fields too.
  requestBytesMax: 2 ** 31,
  // Node's timers fire at once past this.
  handshakeTimeoutMs: 2 ** 31 - 1,
  shutdownTimeoutMs: 2 ** 31 - 1,
};

/**
 * An NBD server.
 *
 * @throws NbdError `NBDCORK_BAD_EXPORT`, `NBDCORK_BAD_STRING`, `NBDCORK_BAD_TLS`
 *   or `NBDCORK_BAD_LIMIT` for options that make no sense.
 */
export function createServer(options: ServerOptions): NbdServer {
  return new NbdServer(options);
}

export class NbdServer {
  private readonly catalog: StaticCatalog;
  private readonly context: ConnectionContext;
  private readonly limits: Limits;
  private readonly listeners: { server: Server; address: Address }[] = [];
  private readonly connections = new Set<Connection>();
  private closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.catalog = new StaticCatalog(options.exports);
    this.limits = checkedLimits(options.limits ?? {});
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

  /** Where the server listens. */
  get addresses(): readonly Address[] {
    return this.listeners.map(({ address }) => address);
  }

  /**
   * What a client needs to reach an export; the default one where no name is
   * given. Where clients must use TLS it says so, with `parameters` of theirs.
   */
  uri(exportName = '', parameters: TlsParameters = {}): string {
    const first = this.listeners[0];
    if (first === undefined) {
      throw new NbdError('NBDCORK_NOT_LISTENING', 'The server does not listen: call listen().');
    }
    const { mode } = this.context.tls;
    const tls = mode === 'require' || this.catalog.find(exportName)?.tls === 'require';
    return formatUri(first.address, exportName, tls && parameters);
  }

  /**
   * Listen, in one more place with every call.
   * @throws NbdError `NBDCORK_LISTEN` where that is not possible, with the cause.
   */
  async listen(where: ListenOptions = {}): Promise<this> {
    if (this.isClosing()) throw closed();
    const server = createNetServer({ pauseOnConnect: true, allowHalfOpen: true });
    // An inherited socket may have clients that wait already.
    server.on('connection', (socket: Socket) => {
      this.accept(acceptedStreams(socket, server), clientOf(socket), () => socket.destroy());
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

  /** Serve one client on standard input and output: a socket or two pipes. */
  async serveStdio(): Promise<void> {
    await this.accept(
      stdioStreams(this.context.tls.mode !== 'off'),
      { kind: 'stream' },
      () => undefined,
    )?.closed;
  }

  /**
   * Stop: no new clients, requests in progress are answered, connections that
   * take longer than `shutdownTimeoutMs` are cut, then the backends are flushed
   * and closed. Calling it again waits for the same end.
   */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private isClosing(): boolean {
    return this.closing !== undefined;
  }

  private accept(open: OpenStreams, client: Client, refuse: () => void): Connection | undefined {
    if (this.connections.size >= this.limits.connectionsMax || this.isClosing()) {
      this.context.logger.warn(
        { peer: peerName(client) },
        `connection refused: there are ${this.connections.size} already`,
      );
      refuse();
      return undefined;
    }
    const connection = new Connection(this.context, open, client);
    this.connections.add(connection);
    void connection.closed.then(() => this.connections.delete(connection));
    return connection;
  }

  private async shutDown(): Promise<void> {
    const listenersClosed = this.listeners.map(
      ({ server }) =>
        new Promise<void>((resolve) => {
          server.close(() => {
            resolve();
          });
        }),
    );
    const connections = [...this.connections];
    for (const connection of connections) connection.shutDown();
    const cut = setTimeout(() => {
      for (const connection of this.connections) connection.destroy();
    }, this.limits.shutdownTimeoutMs);
    await Promise.all(connections.map((connection) => connection.closed));
    clearTimeout(cut);
    await Promise.all(listenersClosed);
    await this.closeBackends();
  }

  private async closeBackends(): Promise<void> {
    const results = await Promise.allSettled(
      [...this.catalog.backends()].map(async (backend) => {
        if (backend.write !== undefined) await backend.flush?.();
        await backend.close?.();
      }),
    );
    for (const result of results) {
      if (result.status === 'rejected') {
        this.context.logger.error({ err: result.reason as unknown }, 'closing a backend failed');
      }
    }
  }
}

function closed(): NbdError {
  return new NbdError('NBDCORK_CLOSED', 'The server is closed: create another.');
}

function checkTlsExports(catalog: StaticCatalog, { mode }: TlsAcceptor): void {
  const needy = catalog.list().find((entry) => entry.tls === 'require');
  if (needy === undefined || mode !== 'off') return;
  throw new NbdError(
    'NBDCORK_BAD_TLS',
    `The export '${needy.name}' needs TLS, which is off: give a certificate or pre-shared keys.`,
  );
}

function checkedPoll(microseconds = busyPollDefault): number {
  if (microseconds >= 0 && microseconds <= busyPollMax) return microseconds;
  throw new NbdError(
    'NBDCORK_BAD_LIMIT',
    `busyPollMicroseconds must be a number from 0 to ${busyPollMax}.`,
  );
}

function checkedLimits(given: Partial<Limits>): Limits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!(name in defaultLimits)) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `There is no limit ${name}. Choose ${Object.keys(defaultLimits).join(', ')}.`,
      );
    }
    const max = limitsMax[name] ?? Number.MAX_SAFE_INTEGER;
    if (!Number.isInteger(value) || value < 1 || value > max) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `The limit ${name} must be an integer from 1 to ${max}.`,
      );
    }
  }
  return limits;
}

function clientOf({ remoteAddress, remotePort }: Socket): Client {
  if (remoteAddress === undefined) return { kind: 'unix' };
  return { kind: 'tcp', address: remoteAddress, port: remotePort ?? 0 };
}
