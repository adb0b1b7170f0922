import type { PreSharedKey } from '../place.js';
import type { Kind, Strategy } from '../results.js';

/** How our server serves. */
export interface ServerPlan {
  readonly strategy: Strategy;
  readonly kind: Kind;
  readonly where:
    | { readonly type: 'unix'; readonly path: string }
    | { readonly type: 'tcp'; readonly host: string }
    /** Standard input and output. */
    | { readonly type: 'pipes' };
  readonly preSharedKey?: PreSharedKey;
  /** Delay of every read, to check that the benchmark detects it. */
  readonly wastedMicroseconds?: number;
}

/** Requests to the process of our server; `start` comes first. */
export type ServerRequest =
  { readonly type: 'start'; readonly plan: ServerPlan } | { readonly type: 'count' };

export interface ServerResponses {
  readonly start: Started;
  readonly count: Counts;
}

export interface Started {
  /** Of TCP. */
  readonly port: number;
}

/** Counters since the process started. */
export interface Counts {
  /** The one in effect, which the socket may have chosen. */
  readonly strategy: Strategy;
  readonly replies: number;
  /** Reads, sends and options of sockets; waiting for events does not count. Null where it cannot be known. */
  readonly systemCalls: number | null;
  /** Data segments of all TCP sockets, and the bytes in them; null where there is none. */
  readonly segments: number | null;
  readonly segmentBytes: number | null;
  readonly cpuMicroseconds: number;
}
