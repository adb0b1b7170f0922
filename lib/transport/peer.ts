import type { Socket } from 'node:net';
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
