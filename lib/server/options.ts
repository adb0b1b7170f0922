import type { Backend, MaybePromise } from '../backend/backend.js';
import type { ExportDescription } from '../backend/export.js';
import type { Client } from '../handshake/client.js';
import type { Limits } from '../limits.js';
import type { StrategyName } from '../transport/transport.js';
import type { Allow } from './access.js';
import type { TlsOptions } from './tls/options.js';

/** What a server tells of its doings: any logger of pino's shape will do. */
export interface Logger {
  /** Details of a connection, such as failed requests past the first ten. */
  debug(details: object, message: string): void;
  /** Clients that connect and disconnect. */
  info(details: object, message: string): void;
  /** Requests, clients and connections that failed or were refused. */
  warn(details: object, message: string): void;
  /** Faults of the server's own surroundings: backends, access rules, listening sockets. */
  error(details: object, message: string): void;
}

/** Makes the backend of an export when it is needed. */
export type OpenBackend = (client: Client) => MaybePromise<Backend>;

/**
 * A disk, and how clients may use it. One that is given by name is checked by
 * `createServer`, which throws; one that is found or opened later is checked
 * then, and refused to that client.
 */
export interface ExportOptions extends Omit<ExportDescription, 'name'> {
  /**
   * The disk, or what opens it: with its first client, to be flushed and closed
   * with the server. A backend that cannot be opened refuses that client only.
   */
  readonly backend: Backend | OpenBackend;
}

/** Exports that are found or made when a client asks for them. */
export interface ExportFinder {
  /**
   * The export of that name for that client, or undefined where there is none.
   * Asked by every client. The first backend that it gives or opens is kept
   * under the name until the server ends, unless the export is `perConnection`;
   * another one that it gives for that name later is closed at once, unused.
   * One that needs TLS, given to a client without, waits for a client with TLS.
   * What it throws refuses that client only.
   */
  find(name: string, client: Client): MaybePromise<Backend | ExportOptions | undefined>;
  /**
   * What clients see that ask for a list; nothing where absent. What no client
   * can be told is left out. What it throws refuses that client's question only.
   */
  list?(client: Client): MaybePromise<readonly ExportDescription[]>;
}

/** The disks by name. The name '' is the default export, for clients that ask for none. */
export type Exports = Readonly<Record<string, Backend | ExportOptions>> | ExportFinder;

/** Options of `createServer`. */
export interface ServerOptions {
  /** The disks to serve, or what finds them by name. */
  readonly exports: Exports;
  /** The name of the export for clients that ask for none, where none has the name ''. */
  readonly defaultExport?: string;
  /** Who may use what; everybody everything where absent. See `allowByRules`. */
  readonly allow?: Allow;
  /** How replies are sent; `auto` is the best that each connection supports. */
  readonly transmit?: StrategyName | 'auto';
  /**
   * How long to stay awake for the next request where sleeping is known to cost
   * more than that, in microseconds from 0 (never) to 1000; 100 unless given.
   * Where the process may write to /dev/cpu_dma_latency, the kernel is asked to
   * keep the other processors awake meanwhile; not with 0.
   */
  readonly busyPollMicroseconds?: number;
  /** Any of the limits, in place of its default. */
  readonly limits?: Partial<Limits>;
  /** Encryption, and who may connect. Off where absent. */
  readonly tls?: TlsOptions;
  /** Silent where absent. */
  readonly logger?: Logger;
}

/** Where to listen. TCP is on 127.0.0.1 and port 10809 unless told otherwise. */
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
      /** A listening socket that was inherited, as with systemd's socket activation. */
      readonly fd: number;
    };

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
