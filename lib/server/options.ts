import type { Backend, MaybePromise } from '../backend/backend.js';
import type { ExportDescription } from '../backend/export.js';
import type { Client } from '../handshake/client.js';
import type { Limits } from '../limits.js';
import type { StrategyName } from '../transport/transport.js';
import type { Allow } from './access.js';
import type { Logger } from './log/logger.js';
import type { TlsOptions } from './tls/options.js';

/** Opens the backend of an export on demand. */
export type OpenBackend = (client: Client) => MaybePromise<Backend>;

/**
 * A disk, and how clients may use it. `createServer` checks exports given by name,
 * and throws. Exports that are found or opened later are checked then; errors refuse
 * them to the client.
 */
export interface ExportOptions extends Omit<ExportDescription, 'name'> {
  /**
   * The disk, or a function that opens it for its first client. The server flushes
   * and closes it. If opening fails, only that client is refused.
   */
  readonly backend: Backend | OpenBackend;
  /**
   * Opens the disk again after it has failed (`Backend.mustReopen`) and all its
   * clients have left. By default the function `backend`; without either, a disk
   * that has failed stays in use.
   */
  readonly reopen?: OpenBackend;
}

/** Exports that are found or created when a client requests them. */
export interface ExportFinder {
  /**
   * The export of that name for that client, or undefined if there is none. Called
   * for every client. The first backend of a name is kept until the server closes,
   * unless the export is `perConnection`; further backends for that name are closed
   * unused. The backend of an export that requires TLS, found for a client without,
   * is kept for a client with TLS. If it throws, only that client is refused.
   */
  find(name: string, client: Client): MaybePromise<Backend | ExportOptions | undefined>;
  /**
   * The exports that a client sees in a list; none if absent. Entries with an
   * invalid name or description are left out. If it throws, only that request fails.
   */
  list?(client: Client): MaybePromise<readonly ExportDescription[]>;
}

/** Disks by name. The name '' is the default export. */
export type Exports = Readonly<Record<string, Backend | ExportOptions>> | ExportFinder;

/** Options of `createServer`. */
export interface ServerOptions {
  /** The disks to serve, or a finder. */
  readonly exports: Exports;
  /** Name of the export for clients that request the empty name, if no export has it. */
  readonly defaultExport?: string;
  /** Decides which clients may use which exports; all of them if absent. See `allowByRules`. */
  readonly allow?: Allow;
  /** How replies are sent; `auto`, the default, is the best that each connection supports. */
  readonly transmit?: StrategyName | 'auto';
  /**
   * Maximum time to busy-poll for the next request, in microseconds from 0 (never)
   * to 1000; 100 by default. The server polls only where waking up was measured to be
   * slower. If the process can write to /dev/cpu_dma_latency, the kernel keeps other
   * processors awake meanwhile.
   */
  readonly busyPollMicroseconds?: number;
  /**
   * Threads that serve the clients which connect, from 1 to 64; 1 by default. With
   * more than one, another thread accepts connections and hands each over to the
   * thread with the fewest. Needs the addon, and exports by name whose disks have a
   * `threadSource`: files, and memory disks that are `shared`. Clients cannot
   * resize them. Each thread may use an equal part of `memoryBytesMax`. The
   * functions `allow` and those of `logger` are called in the thread of the server.
   */
  readonly threads?: number;
  /** Limits that differ from `defaultLimits`. */
  readonly limits?: Partial<Limits>;
  /** Encryption and authentication; off if absent. */
  readonly tls?: TlsOptions;
  /** Without it, nothing is logged. */
  readonly logger?: Logger;
}

/** Where to listen: by default on TCP port 10809 of 127.0.0.1. */
export type ListenOptions =
  | {
      /** TCP port; 0 takes any free one. */
      readonly port?: number;
      /** Address or host name to listen on. */
      readonly host?: string;
    }
  | {
      /** Path of a Unix socket. */
      readonly path: string;
    }
  | {
      /** Descriptor of an inherited listening socket, as in socket activation. */
      readonly fd: number;
    };
