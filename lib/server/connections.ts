import { peerName, type Client } from '../handshake/client.js';
import { peerCredentialsAvailable } from '../sockets/peer.js';
import { connectionsWithinOpenFiles } from '../sockets/open-files.js';
import type { OpenStreams } from '../sockets/streams.js';
import type { AccessControl } from './access.js';
import { Connection, type ConnectionContext } from './connection.js';
import { StallWatch } from './stall-watch.js';
import { endsBefore } from './stop-clock.js';

/** The connections of a server: accepts them within the limit, and ends them. */
export class Connections {
  private readonly context: ConnectionContext;
  private readonly access: AccessControl;
  private readonly stallWatch: StallWatch;
  private readonly open = new Set<Connection>();
  /**
   * Open connections, and closed ones with work in progress. Both count towards
   * the limit: otherwise a client that connects, sends requests to a slow backend
   * and leaves, again and again, could pile up requests without a limit.
   */
  private readonly slots = new Set<Connection>();
  private stopping = false;
  /** At the limit of open files accept() fails, and clients are closed without a line in the log. */
  private openFilesAllow = Infinity;

  constructor(context: ConnectionContext, access: AccessControl) {
    this.context = context;
    this.access = access;
    this.stallWatch = new StallWatch(context.limits.sendTimeoutMs);
  }

  /** Open connections. */
  get count(): number {
    return this.open.size;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.open.values();
  }

  /** Starts a connection, or calls `refuse` and returns undefined. */
  accept(open: OpenStreams, client: Client, refuse: () => void): Connection | undefined {
    const full = this.reasonToRefuse();
    // The access check may take time: only clients that have a slot get one.
    const allowed = full === undefined && this.access.allows(client);
    if (allowed === false) {
      this.logRefusal(client, full ?? deniedReason(client));
      refuse();
      return undefined;
    }
    const admitted = allowed === true ? undefined : this.admission(client, allowed);
    const connection = new Connection(this.context, open, client, admitted);
    this.open.add(connection);
    this.slots.add(connection);
    this.stallWatch.add(connection);
    void connection.closed.then(() => {
      this.open.delete(connection);
      this.stallWatch.delete(connection);
    });
    void Promise.all([connection.slotReleased, admitted]).then(() => this.slots.delete(connection));
    return connection;
  }

  /** Call it before listening, when the files of the server are open. */
  measureOpenFiles(): void {
    if (this.openFilesAllow !== Infinity) return;
    this.openFilesAllow = connectionsWithinOpenFiles();
    const { connectionsMax } = this.context.limits;
    if (this.openFilesAllow >= connectionsMax) return;
    this.context.logger.warn(
      { connectionsMax },
      `The limit of open files allows ${this.openFilesAllow} connections: raise it, as by ulimit -n.`,
    );
  }

  /** From now on all clients are refused. */
  stopAccepting(): void {
    this.stopping = true;
  }

  /**
   * Ends connections as soon as their requests in progress are answered, and
   * closes at the deadline those whose clients have not taken their replies.
   */
  async end(deadline: Promise<false>): Promise<void> {
    const connections = [...this.open];
    for (const connection of connections) connection.shutDown();
    const sessions = connections.filter(({ isNegotiating }) => !isNegotiating);
    await endsBefore(deadline, Promise.all(sessions.map(({ closed }) => closed)));
    for (const connection of this.open) connection.destroy();
  }

  /** Those with work in progress, be they closed or not. */
  get unfinished(): readonly Connection[] {
    return [...this.slots];
  }

  private reasonToRefuse(): string | undefined {
    if (this.stopping) return 'the server is closing';
    const count = this.slots.size;
    const connectionsMax = Math.min(this.context.limits.connectionsMax, this.openFilesAllow);
    if (count < connectionsMax) return undefined;
    const closed = count - this.open.size;
    const waiting = closed === 0 ? '' : `, ${closed} of them closed and waiting for a backend`;
    return `limit of ${count} connections reached${waiting}`;
  }

  private async admission(client: Client, allowed: Promise<boolean>): Promise<boolean> {
    if (await allowed) return true;
    this.logRefusal(client, deniedReason(client));
    return false;
  }

  private logRefusal(client: Client, reason: string): void {
    this.context.logger.warn({ peer: peerName(client) }, `connection refused: ${reason}`);
  }
}

function deniedReason({ kind }: Client): string {
  return kind === 'unix' && !peerCredentialsAvailable
    ? 'access denied; peer credentials are unavailable without the addon'
    : 'access denied';
}
