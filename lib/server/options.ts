import type { Backend } from '../backend/backend.js';
import type { Limits } from '../limits.js';
import type { StrategyName } from '../transport/transport.js';
import type { TlsOptions } from './tls-options.js';

/** What a server tells of its doings: any logger of pino's shape will do. */
export interface Logger {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface ExportOptions {
  readonly backend: Backend;
  /** For people: shown by clients that list exports. At most 4096 bytes. */
  readonly description?: string;
  /** True refuses every command that writes, whatever the backend can do. */
  readonly readOnly?: boolean;
  /** `require`: clients without TLS can neither open nor list it. */
  readonly tls?: 'require';
}

export interface ServerOptions {
  /** The disks by name. The name '' is the default export, for clients that ask for none. */
  readonly exports: Readonly<Record<string, Backend | ExportOptions>>;
  /** How replies are sent; `auto` is the best that each connection supports. */
  readonly transmit?: StrategyName | 'auto';
  /**
   * How long to stay awake for the next request where sleeping is known to cost
   * more than that, in microseconds from 0 (never) to 1000; 100 unless given.
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
  | { readonly port?: number; readonly host?: string }
  | { readonly path: string }
  /** A listening socket that was inherited, as with systemd's socket activation. */
  | { readonly fd: number };

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
