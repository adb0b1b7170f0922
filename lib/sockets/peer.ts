/** The other end of a connection, as the kernel reports it. */
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { descriptorKind } from '../native/addon.js';
import { addon } from '../native/load.js';
import { descriptorOf } from './handle.js';

/** Process, user and group of a Unix socket's peer, recorded when it connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** False without the addon: then the peers of Unix sockets are unknown. */
export const peerCredentialsAvailable = addon !== undefined;

/** Undefined for sockets other than Unix sockets, and without the addon. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined || addon?.kindOf(fd) !== descriptorKind.unix) return undefined;
  const numbers = new Float64Array(3);
  if (addon.peerCredentials(fd, numbers) < 0) return undefined;
  const [pid = 0, uid = 0, gid = 0] = numbers;
  return { pid, uid, gid };
}

/**
 * Bytes that the kernel holds because the peer has not read them. 0 for streams
 * without a descriptor, such as TLS, and without the addon.
 */
export function unreadByPeer(stream: Writable): number {
  const fd = descriptorOf(stream);
  return fd === undefined ? 0 : Math.max(0, addon?.unreadByPeer(fd) ?? 0);
}

/**
 * Tells how many bytes the peer has sent that can be read at once. Undefined for
 * streams without a descriptor, such as TLS, and without the addon.
 */
export function bytesAvailableOf(stream: Readable): (() => number) | undefined {
  const fd = descriptorOf(stream);
  const native = addon;
  if (fd === undefined || native === undefined) return undefined;
  return () => Math.max(0, native.bytesAvailable(fd));
}
