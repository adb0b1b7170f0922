/** How many clients use a backend: NBD_CMD_RESIZE must not shrink it under others. */
import type { Backend } from '../../backend/backend.js';

const counts = new WeakMap<Backend, number>();

/** One more client uses the backend. */
export function acquire(backend: Backend): void {
  counts.set(backend, clientCount(backend) + 1);
}

export function release(backend: Backend): void {
  counts.set(backend, clientCount(backend) - 1);
}

/** Clients in the transmission phase, over all servers of this thread. */
export function clientCount(backend: Backend): number {
  return counts.get(backend) ?? 0;
}
