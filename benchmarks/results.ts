/**
 * Results of a run: the JSON that it writes, from which tables, pictures and pages
 * are generated. Units are in the names.
 */
import { strategyNames, type StrategyName } from '../lib/transport/transport.js';

/**
 * Ways to send a reply, as columns of the table. `sends` is not a strategy of
 * the transport, but a baseline: a send(2) a piece, without flags.
 */
export const strategies = [...strategyNames, 'sends'] as const;
export type Strategy = StrategyName | 'sends';

/** What lies between the load and the server. `veth`: two network namespaces, MTU 1500, no offload. */
export const links = ['unix', 'unix-tls', 'tcp', 'tcp-tls', 'pipe', 'veth'] as const;
export type Link = (typeof links)[number];

export const kinds = ['read-4k', 'read-64k', 'mixed-4k', 'extents', 'read-512'] as const;
export type Kind = (typeof kinds)[number];

export type HeaderKind = 'simple' | 'structured' | 'extended';

/** What is requested, and over which link: a row of the table. */
export interface Workload {
  readonly link: Link;
  readonly kind: Kind;
  readonly connections: number;
  readonly depth: number;
  readonly headers: HeaderKind;
  readonly load: 'nbdcork' | 'fio';
}

/** What is compared: a strategy of nbdcork, or another server. */
export type Candidate =
  | { readonly type: 'strategy'; readonly strategy: Strategy }
  | { readonly type: 'peer'; readonly name: string; readonly version: string };

/** One run of one candidate. */
export interface Sample {
  /** From 0 on; samples of a row are compared with those of the same round. */
  readonly round: number;
  readonly requestsPerSecond: number;
  /** Requests a second in each of its turns, which go with those of the others in the same row and run. */
  readonly turns: readonly number[];
  /**
   * Reads, sends and options of sockets; waiting for events is not among them.
   * Null where it cannot be counted, as for peers; so are segments without TCP_INFO.
   */
  readonly systemCallsPerRequest: number | null;
  readonly segmentsPerReply: number | null;
  readonly bytesPerSegment: number | null;
  /** User and system time of the server process. */
  readonly serverMicrosecondsPerRequest: number | null;
  readonly clientMicrosecondsPerRequest: number | null;
}

/** What a sample says of its requests. */
export type Figure = Exclude<keyof Sample, 'round' | 'turns'>;

/** Of all samples of a trial that have the figure and are no outliers; null where none has. */
export type Averages = Readonly<Record<Figure, number | null>> & {
  /** Samples that were far slower than the others of their trial: statistics.ts. */
  readonly outliers: number;
  /** Half of the 95 % confidence interval; null for fewer than two samples. */
  readonly requestsPerSecondError: number | null;
};

/** Microseconds from sending a request to having its reply, of all runs together. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  /** Null where too few requests took longer. */
  readonly p999: number | null;
}

/** Whether the 99 % confidence interval lies beyond 3 % of difference: gain.ts. */
export type Verdict = 'faster' | 'slower' | 'no difference shown';

/**
 * Gain over `plain` in the same workload: 0.1 is 10 % more requests a second.
 * Turns that belong together are compared, and the middle half of the ratios is
 * averaged by logarithm: gain.ts.
 */
export interface Gain {
  readonly average: number;
  /**
   * Of all runs: each is the average of its own middle half; or the average itself,
   * where all of them lie on one side of it.
   */
  readonly worst: number;
  readonly best: number;
  /** The 99 % confidence interval of the average. */
  readonly low: number;
  readonly high: number;
  readonly verdict: Verdict;
}

export interface Trial {
  readonly workload: Workload;
  readonly candidate: Candidate;
  /** In the order in which they were taken; the first, warming up, is left out. */
  readonly samples: readonly Sample[];
  readonly averages: Averages;
  readonly latencyMicroseconds: Latency | null;
  /**
   * Microseconds at each of the results' `latencyPercentiles`, of all runs
   * together. It ends where too few requests took longer.
   */
  readonly latencyCurve: readonly number[];
  /**
   * Null for `plain` itself, without two turns to compare, and for another server
   * that is compared with what we serve with by default.
   */
  readonly gain: Gain | null;
}

/** The gain of one over another, by name, in the same workload. */
export interface Comparison {
  readonly workload: Workload;
  readonly of: string;
  readonly over: string;
  readonly gain: Gain;
}

/** The cost of one call or codec, measured alone. */
export interface MicroTrial {
  readonly name: string;
  /** Pieces of the vector, where there is one. */
  readonly pieces: number | null;
  readonly nanosecondsPerCall: number;
  /** Half of the 95 % confidence interval. */
  readonly nanosecondsError: number;
}

/** What was not measured, and why. */
export interface Skipped {
  readonly what: string;
  readonly why: string;
  /** A failure: a strategy, or a server that was named. */
  readonly failed?: true;
}

/** What `npm run bench:selfcheck` found, by repetition: of a copy of the same, and of one slowed down. */
export interface SelfCheck {
  readonly commit: string | null;
  readonly verdicts: readonly Readonly<Record<string, Verdict>>[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly openssl: string;
  /** Null where it was not the load. */
  readonly fio: string | null;
}

/** By the kernel's numbers. */
export interface Processors {
  /** Where our servers run. */
  readonly servers: readonly number[];
  /** Where the load generator runs. */
  readonly load: number;
}

export interface Results {
  readonly schema: 4;
  readonly version: string;
  /** Of the working tree, where there is one; `-dirty` behind it where files were changed. */
  readonly commit: string | null;
  readonly command: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly seconds: number;
  readonly machine: Machine;
  /** Null where the kernel chose, and where nothing but single calls was measured. */
  readonly processors: Processors | null;
  readonly timing: {
    /** Of each sample; of what was not settled some are longer. */
    readonly seconds: number;
    readonly warmUpSeconds: number;
    /** Counted of each trial at least; 0 where there is none. */
    readonly rounds: number;
  };
  /** So many percent of the requests took at most as long as the curve of a trial says. */
  readonly latencyPercentiles: readonly number[];
  /** Whether it was stopped before all rounds were done. */
  readonly interrupted: boolean;
  readonly trials: readonly Trial[];
  readonly comparisons: readonly Comparison[];
  readonly micro: readonly MicroTrial[];
  readonly skipped: readonly Skipped[];
}
