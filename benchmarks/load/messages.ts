import type { Place, PreSharedKey } from '../place.js';
import type { HeaderKind, Kind } from '../results.js';

/** What a load is to do. */
export interface LoadPlan {
  readonly place: Place;
  /** With it, TLS is used. */
  readonly preSharedKey?: PreSharedKey;
  readonly kind: Kind;
  readonly connections: number;
  /** Requests of a connection that wait for their replies, at any time. */
  readonly depth: number;
  readonly headers: HeaderKind;
}

/** What the process of the load is asked, in this order; `run` as often as wanted. */
export type LoadRequest =
  /** Connect, and fill the disk. */
  | { readonly type: 'open'; readonly plan: LoadPlan }
  /** Keep the server busy until so much time is over; every request is answered then. */
  | { readonly type: 'run'; readonly seconds: number }
  /** Of all runs since this was asked last: an hdr histogram of nanoseconds, as hdr-histogram-js encodes it. */
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
