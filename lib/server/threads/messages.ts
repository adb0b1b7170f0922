/** What the accepting thread and the serving threads send to each other; all of it can be cloned. */
import type { ThreadSource } from '../../backend/backend.js';
import type { ExportDescription } from '../../backend/export.js';
import type { Client } from '../../handshake/client.js';
import type { Limits } from '../../limits.js';
import type { ConnectionLosses } from '../connection.js';
import type { ServerOptions } from '../options.js';
import type { PortableError } from './portable-error.js';

/** An export, and how a thread opens its disk. */
export interface ThreadExport extends ExportDescription {
  readonly source: ThreadSource;
}

/** The options of all threads of a server. */
export interface ThreadOptions extends Pick<
  ServerOptions,
  'defaultExport' | 'transmit' | 'busyPollMicroseconds' | 'tls'
> {
  readonly exports: readonly ThreadExport[];
  /** Those of this thread. */
  readonly limits: Limits;
  /** The accepting thread is asked whether a client may use an export. */
  readonly asksForAccess: boolean;
}

/** The options of one thread. */
export interface ThreadSetup extends ThreadOptions {
  readonly counters: ThreadCounters;
}

/** Numbers in memory that both threads see, by their index. */
export type ThreadCounters = Int32Array<SharedArrayBuffer>;
export const counter = {
  /** Connections that the thread has taken over, of those handed to it, in their order. */
  takenOver: 0,
  /** Records of the log that the accepting thread has not handled. */
  records: 1,
} as const;

/** A connection whose descriptor is the thread's from now on. */
export interface HandOver {
  readonly type: 'connection';
  readonly id: number;
  readonly fd: number;
  readonly client: Client;
}

/** To a serving thread. */
export type ToThread =
  /** The first message. */
  | { readonly type: 'setup'; readonly setup: ThreadSetup }
  | HandOver
  | { readonly type: 'access'; readonly id: number; readonly allowed: boolean }
  | { readonly type: 'stop'; readonly timeoutMs: number };

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** From a serving thread. */
export type FromThread =
  | { readonly type: 'ready' }
  /** A connection is closed. `losses` are those of the thread so far. */
  | { readonly type: 'closed'; readonly id: number; readonly losses: ConnectionLosses }
  /** Its work has ended, too. */
  | { readonly type: 'released'; readonly id: number; readonly losses: ConnectionLosses }
  | {
      readonly type: 'access';
      readonly id: number;
      readonly client: Client;
      readonly exportName: string | undefined;
    }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      /** Without `err`, which is `error`. */
      readonly details: object;
      readonly error: PortableError | undefined;
      readonly message: string;
    }
  | { readonly type: 'stopped'; readonly error: PortableError | undefined };
