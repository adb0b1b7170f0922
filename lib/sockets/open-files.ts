import { readdirSync, readFileSync } from 'node:fs';

/** Descriptors for all that is not a connection: disks opened on demand, the log, timers. */
const reserve = 16;

/**
 * The limit of open files of the process. At the limit, libuv closes the clients that
 * connect, and tells nobody: connections must be refused before.
 */
export class OpenFiles {
  /** Infinity where the system does not tell. */
  private readonly max: number;

  constructor() {
    let max = Infinity;
    try {
      const limits = readFileSync('/proc/self/limits', 'latin1');
      max = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
    } catch {
      // Not Linux.
    }
    this.max = max;
  }

  /** Connections for which there is room, besides the files that are open now. */
  connectionsMax(): number {
    try {
      return Math.max(1, this.max - readdirSync('/proc/self/fd').length - reserve);
    } catch {
      return Infinity;
    }
  }

  /**
   * Whether few descriptors are left, given one that was just opened: the kernel
   * gives the lowest that is free.
   */
  areFew(opened: number): boolean {
    return opened >= this.max - reserve;
  }
}
