import { readdirSync, readFileSync } from 'node:fs';

/** Descriptors for all that is not a connection: disks opened on demand, the log, timers. */
const reserve = 16;

/**
 * Connections for which the limit of open files has room, besides the files that
 * are open now. Infinity where the system does not tell.
 */
export function connectionsWithinOpenFiles(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const soft = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
    return Math.max(1, soft - readdirSync('/proc/self/fd').length - reserve);
  } catch {
    return Infinity;
  }
}
