import { peerName, type Client } from '../handshake/client.js';
import { peerCredentialsAvailable } from '../sockets/peer.js';
import { OpenFiles } from '../sockets/open-files.js';
import type { OpenStreams } from '../sockets/streams.js';
import type { AccessControl } from './access.js';
import { Connection, type ConnectionContext } from './connection.js';
import { PeerCounts, peerOf } from './peer-counts.js';
import { StallWatch } from './stall-watch.js';
import { endsBefore } from './stop-clock.js';

/** The connections of a server: accepts them within the limit, and ends them. */
export class Connections {
  private readonly context: ConnectionContext;
  private readonly access: AccessControl;
  private readonly stallWatch: StallWatch<Connection>;
  private readonly idleWatch: StallWatch<Connection>;
  private readonly open = new Set<Connection>();
  /**
   * Open connections, and closed ones with work in progress. Both count towards
   * the limit: otherwise a client that connects, sends requests to a slow backend
   * and leaves, again and again, could pile up requests without a limit.
   */
  private readonly slots = new Set<Connection>();
  /** The slots of each peer. */
  private readonly peers = new PeerCounts();
  private stopping = false;
  private readonly openFiles = new OpenFiles();
  private openFilesAllow = Infinity;

  constructor(context: ConnectionContext, access: AccessControl) {
    this.context = context;
    this.access = access;
    const { sendTimeoutMs, idleTimeoutMs } = context.limits;
    this.stallWatch = new StallWatch(sendTimeoutMs, {
      progress: (connection) => connection.progress,
      progressMin: (connection) => connection.progressMin,
      stalled: (connection) => {
        connection.stalled();
      },
    });
    this.idleWatch = new StallWatch(idleTimeoutMs, {
      progress: (connection) => connection.activity,
      progressMin: () => 1,
      stalled: (connection) => {
        connection.idled();
      },
    });
  }

  /** Open connections. */
  get count(): number {
    return this.open.size;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.open.values();
  }

  /**
   * Starts a connection, or calls `refuse` and returns undefined. `fd` is the
   * descriptor of an accepted socket, where it is known.
   */
  accept(
    open: OpenStreams,
    client: Client,
    refuse: () => void,
    fd?: number,
  ): Connection | undefined {
    const peer = peerOf(client);
    const full = this.reasonToRefuse(peer, fd);
    // The access check may take time: only clients that have a slot get one.
    const allowed = full === undefined && this.access.allows(client);
    if (allowed === false) {
      this.noteRefusal(client, full ?? deniedReason(client));
      refuse();
      return undefined;
    }
    const admitted = allowed === true ? undefined : this.admission(client, allowed);
    const connection = new Connection(this.context, open, client, admitted);
    this.open.add(connection);
    this.slots.add(connection);
    if (peer !== undefined) this.peers.add(peer);
    this.stallWatch.add(connection);
    this.idleWatch.add(connection);
    void connection.closed.then(() => {
      this.open.delete(connection);
      this.stallWatch.delete(connection);
      this.idleWatch.delete(connection);
    });
    void Promise.all([connection.slotReleased, admitted]).then(() => {
      this.slots.delete(connection);
      if (peer !== undefined) this.peers.remove(peer);
    });
    return connection;
  }

  /** Call it before listening, when the files of the server are open. */
  measureOpenFiles(): void {
    if (this.openFilesAllow !== Infinity) return;
    this.openFilesAllow = this.openFiles.connectionsMax();
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

  private reasonToRefuse(peer: string | undefined, fd: number | undefined): string | undefined {
    if (this.stopping) return 'the server is closing';
    const { connectionsMax, connectionsPerPeerMax } = this.context.limits;
    const count = this.slots.size;
    if (count >= Math.min(connectionsMax, this.openFilesAllow)) {
      const closed = count - this.open.size;
      const waiting = closed === 0 ? '' : `, ${closed} of them closed and waiting for a backend`;
      return `limit of ${count} connections reached${waiting}`;
    }
    if (fd !== undefined && this.openFiles.areFew(fd)) return 'limit of open files reached';
    if (peer === undefined || connectionsPerPeerMax === 0) return undefined;
    return this.peers.of(peer) < connectionsPerPeerMax
      ? undefined
      : `limit of ${connectionsPerPeerMax} connections of ${peer} reached`;
  }

  private async admission(client: Client, allowed: Promise<boolean>): Promise<boolean> {
    if (await allowed) return true;
    this.noteRefusal(client, deniedReason(client));
    return false;
  }

  private noteRefusal(client: Client, reason: string): void {
    this.context.losses.refused++;
    this.context.logger.warn({ peer: peerName(client) }, `connection refused: ${reason}`);
  }
}

function deniedReason({ kind }: Client): string {
  return kind === 'unix' && !peerCredentialsAvailable
    ? 'access denied; peer credentials are unavailable without the addon'
    : 'access denied';
}
