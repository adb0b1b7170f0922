/** What the kernel knows of the other end of a connection. */
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { descriptorKind } from '../native/addon.js';
import { addon } from '../native/load.js';
import { descriptorOf } from './handle.js';

/** Who connected to a Unix socket, as the kernel noted it at that moment. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** False where the addon is missing: who connects to a Unix socket stays unknown. */
export const knowsPeers = addon !== undefined;

/** Undefined where the socket is no Unix socket, or the addon is missing. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined || addon?.kindOf(fd) !== descriptorKind.unix) return undefined;
  const numbers = new Float64Array(3);
  if (addon.peerCredentials(fd, numbers) < 0) return undefined;
  const [pid = 0, uid = 0, gid = 0] = numbers;
  return { pid, uid, gid };
}

/**
 * Bytes that the kernel keeps for the peer, which it has not taken. 0 for what
 * has no descriptor of its own, as a stream of TLS, and where the addon is missing.
 */
export function untakenBytes(stream: Writable): number {
  const fd = descriptorOf(stream);
  return fd === undefined ? 0 : Math.max(0, addon?.untakenBytes(fd) ?? 0);
}
