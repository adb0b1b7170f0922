import type { PreSharedKey } from '../place.js';
import type { Kind, Strategy } from '../results.js';

/** What our server is to serve, and where. */
export interface ServerPlan {
  readonly strategy: Strategy;
  readonly kind: Kind;
  readonly where:
    | { readonly type: 'unix'; readonly path: string }
    | { readonly type: 'tcp'; readonly host: string }
    /** Standard input and output. */
    | { readonly type: 'pipes' };
  readonly preSharedKey?: PreSharedKey;
  /** Time to waste on every read: a test double, to see whether the benchmark notices. */
  readonly wastedMicroseconds?: number;
}

/** What the process of our server is asked, the first one first. */
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

/** All since the process began. */
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
