import type { Backend } from '../backend/backend.js';

const clients = new WeakMap<Backend, number>();

/** One more client uses the disk. */
export function enter(backend: Backend): void {
  clients.set(backend, clientsOf(backend) + 1);
}

export function leave(backend: Backend): void {
  clients.set(backend, clientsOf(backend) - 1);
}

/** Clients in their transmission phase, over all servers of this thread. */
export function clientsOf(backend: Backend): number {
  return clients.get(backend) ?? 0;
}
