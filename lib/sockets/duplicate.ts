import type { Socket } from 'node:net';
import { addon } from '../native/load.js';
import { descriptorOf } from './handle.js';

/** False without the addon. */
export const canDuplicate = addon !== undefined;

/**
 * Another descriptor of the same connection, which programs do not inherit: the
 * connection lives until both are closed. Undefined where there is none.
 */
export function duplicateOf(socket: Socket): number | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  const other = addon?.duplicate(fd) ?? -1;
  return other < 0 ? undefined : other;
}
