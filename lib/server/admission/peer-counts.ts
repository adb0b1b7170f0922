import type { Client } from '../../handshake/client.js';

/** How an IPv6 socket shows a client of IPv4. */
const mappedPrefix = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i;

/**
 * What the connections of a client have in common: the IP address, or the user on
 * a Unix socket. Undefined where the server does not know it.
 */
export function peerOf({ address, uid }: Client): string | undefined {
  if (address !== undefined) return `address ${address.replace(mappedPrefix, '')}`;
  return uid === undefined ? undefined : `user ${uid}`;
}

/** Connections of each peer. */
export class PeerCounts {
  private readonly counts = new Map<string, number>();

  /** Peers that have connections. */
  get size(): number {
    return this.counts.size;
  }

  of(peer: string): number {
    return this.counts.get(peer) ?? 0;
  }

  add(peer: string): void {
    this.counts.set(peer, this.of(peer) + 1);
  }

  remove(peer: string): void {
    const count = this.of(peer) - 1;
    if (count > 0) this.counts.set(peer, count);
    else this.counts.delete(peer);
  }
}
