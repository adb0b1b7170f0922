import type { Place, PreSharedKey } from '../place.js';
import type { HeaderKind, Kind } from '../results.js';

/** How to connect, and what to send. */
export interface LoadPlan {
  readonly place: Place;
  /** With it, TLS is used. */
  readonly preSharedKey?: PreSharedKey;
  readonly kind: Kind;
  readonly connections: number;
  /** Requests in flight per connection. */
  readonly depth: number;
  readonly headers: HeaderKind;
}

/** Requests to the load generator, in this order; `run` may be repeated. */
export type LoadRequest =
  /** Connect, and fill the disk. */
  | { readonly type: 'open'; readonly plan: LoadPlan }
  /** Keep requests in flight for this time, then wait for all replies. */
  | { readonly type: 'run'; readonly seconds: number }
  /** Latencies since the last such request: a histogram of nanoseconds, encoded by hdr-histogram-js. */
  | { readonly type: 'latencies' }
  | { readonly type: 'close' };

export interface LoadResponses {
  readonly open: undefined;
  readonly run: LoadResult;
  readonly latencies: string;
  readonly close: undefined;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /**
   * Requests that were answered until the first read after the end of the time
   * that completes some, in a time that makes their speed: the sum of those of
   * all connections, which end one by one. So a stall at the end counts in full.
   * What is left then is no measure of speed: some servers wait for an
   * acknowledgement that is delayed, until the client sends again.
   */
  readonly timed: { readonly requests: number; readonly seconds: number };
  /** User and system time of the load. */
  readonly cpuMicroseconds: number;
}
