import type { Client } from '../../handshake/client.js';
import type { Limits } from '../../limits.js';
import { OpenFiles } from '../../sockets/open-files.js';
import type { Logger } from '../log/logger.js';
import { PeerCounts, peerOf } from './peer-counts.js';

/** The place of a connection within the limits. */
export interface Slot {
  /** The connection is closed; its work may be in progress. */
  close(): void;
  /** It counts no longer. */
  release(): void;
}

/** Where connections get slots. */
export interface Slots {
  /** `fd` is the descriptor of an accepted socket, where it is known. */
  reasonToRefuse(client: Client, fd: number | undefined): string | undefined;
  take(client: Client): Slot;
}

/**
 * The limits of connections, over all threads of a server. Open connections count,
 * and so do closed ones with work in progress: otherwise a client that connects,
 * sends requests to a slow backend and leaves, again and again, could pile up
 * requests without a limit.
 */
export class Admission implements Slots {
  private readonly limits: Limits;
  private readonly logger: Logger;
  /** Connections with a slot. */
  private taken = 0;
  /** Those of them that are closed. */
  private closed = 0;
  private readonly peers = new PeerCounts();
  private readonly openFiles = new OpenFiles();
  private openFilesAllow = Infinity;
  private stopping = false;

  constructor(limits: Limits, logger: Logger) {
    this.limits = limits;
    this.logger = logger;
  }

  /** Open connections. */
  get openCount(): number {
    return this.taken - this.closed;
  }

  /** Call it before listening, when the files of the server are open. */
  measureOpenFiles(): void {
    if (this.openFilesAllow !== Infinity) return;
    this.openFilesAllow = this.openFiles.connectionsMax();
    const { connectionsMax } = this.limits;
    if (this.openFilesAllow >= connectionsMax) return;
    this.logger.warn(
      { connectionsMax },
      `The limit of open files allows ${this.openFilesAllow} connections: raise it, as by ulimit -n.`,
    );
  }

  /** From now on all clients are refused. */
  stop(): void {
    this.stopping = true;
  }

  reasonToRefuse(client: Client, fd: number | undefined): string | undefined {
    if (this.stopping) return 'the server is closing';
    const { connectionsMax, connectionsPerPeerMax } = this.limits;
    const { taken: count, closed } = this;
    if (count >= Math.min(connectionsMax, this.openFilesAllow)) {
      const waiting = closed === 0 ? '' : `, ${closed} of them closed and waiting for a backend`;
      return `limit of ${count} connections reached${waiting}`;
    }
    if (fd !== undefined && this.openFiles.areFew(fd)) return 'limit of open files reached';
    const peer = peerOf(client);
    if (peer === undefined || connectionsPerPeerMax === 0) return undefined;
    return this.peers.of(peer) < connectionsPerPeerMax
      ? undefined
      : `limit of ${connectionsPerPeerMax} connections of ${peer} reached`;
  }

  take(client: Client): Slot {
    const peer = peerOf(client);
    this.taken++;
    if (peer !== undefined) this.peers.add(peer);
    let state: 'open' | 'closed' | 'released' = 'open';
    const close = (): void => {
      if (state !== 'open') return;
      state = 'closed';
      this.closed++;
    };
    const release = (): void => {
      if (state === 'released') return;
      close();
      state = 'released';
      this.closed--;
      this.taken--;
      if (peer !== undefined) this.peers.remove(peer);
    };
    return { close, release };
  }
}
