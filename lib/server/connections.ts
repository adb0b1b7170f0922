import { peerName, type Client } from '../handshake/client.js';
import { peerCredentialsAvailable } from '../sockets/peer.js';
import type { OpenStreams } from '../sockets/streams.js';
import type { AccessControl } from './access.js';
import type { Admission, Slots } from './admission/admission.js';
import { Connection, type ConnectionContext } from './connection.js';
import { StallWatch } from './stall-watch.js';
import { endsBefore } from './stop-clock.js';

/** The connections of a server: accepts them within the limit, and ends them. */
export class Connections {
  private readonly context: ConnectionContext;
  private readonly access: AccessControl;
  private readonly admission: Admission;
  private readonly stallWatch: StallWatch<Connection>;
  private readonly idleWatch: StallWatch<Connection>;
  private readonly open = new Set<Connection>();
  private readonly working = new Set<Connection>();

  constructor(context: ConnectionContext, access: AccessControl, admission: Admission) {
    this.context = context;
    this.access = access;
    this.admission = admission;
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

  [Symbol.iterator](): Iterator<Connection> {
    return this.open.values();
  }

  /**
   * Starts a connection, or calls `refuse` and returns undefined. `fd` is the
   * descriptor of an accepted socket, where it is known. `slots` are those of the
   * server, or of the thread that has accepted the connection.
   */
  accept(
    open: OpenStreams,
    client: Client,
    refuse: () => void,
    fd?: number,
    slots: Slots = this.admission,
  ): Connection | undefined {
    const full = slots.reasonToRefuse(client, fd);
    // The access check may take time: only clients that have a slot get one.
    const allowed = full === undefined && this.access.allows(client);
    if (allowed === false) {
      this.noteRefusal(client, full ?? deniedReason(client));
      refuse();
      return undefined;
    }
    const admitted = allowed === true ? undefined : this.decision(client, allowed);
    const connection = new Connection(this.context, open, client, admitted);
    const slot = slots.take(client);
    this.open.add(connection);
    this.working.add(connection);
    this.stallWatch.add(connection);
    this.idleWatch.add(connection);
    void connection.closed.then(() => {
      slot.close();
      this.open.delete(connection);
      this.stallWatch.delete(connection);
      this.idleWatch.delete(connection);
    });
    void Promise.all([connection.slotReleased, admitted]).then(() => {
      this.working.delete(connection);
      slot.release();
    });
    return connection;
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
    return [...this.working];
  }

  private async decision(client: Client, allowed: Promise<boolean>): Promise<boolean> {
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
