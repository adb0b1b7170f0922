/** The client at the other end of an accepted socket. */
import type { Server, Socket } from 'node:net';
import type { Client } from '../handshake/client.js';
import { peerCredentials } from '../sockets/peer.js';

/** Undefined if the client reset the connection before it was accepted. */
export function clientOf(socket: Socket, server: Server): Client | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) {
    return { kind: 'tcp', address: remoteAddress, port: remotePort ?? 0 };
  }
  // An inherited Unix socket has no address in Node.js.
  const address = server.address();
  const listensOnTcp = typeof address === 'object' && address !== null;
  return listensOnTcp ? undefined : { kind: 'unix', ...peerCredentials(socket) };
}

/** The client's name in the log. */
export function peerName({ kind, address, port }: Client): string {
  return address === undefined ? kind : `${address} port ${port ?? 0}`;
}
