/** Results as benchmarks/results/ keeps them: what the tables of RESULTS.md show, without samples. */
import type { Averages, Gain, Latency, MicroTrial, Results, Workload } from '../results.js';

export type PublishedGain = Pick<Gain, 'average' | 'low' | 'high' | 'verdict'>;

export interface PublishedCandidate {
  readonly name: string;
  /** Of another server; null for a strategy. */
  readonly version: string | null;
  /** Runs that count. */
  readonly runs: number;
  readonly averages: Averages;
  readonly latencyMicroseconds: Latency | null;
  /** By the name of the candidate that it is compared with. */
  readonly gains: Readonly<Record<string, PublishedGain>>;
}

export interface PublishedRow {
  readonly workload: Workload;
  readonly candidates: readonly PublishedCandidate[];
}

export interface PublishedResults extends Pick<
  Results,
  'version' | 'commit' | 'command' | 'startedAt' | 'seconds' | 'machine' | 'processors' | 'timing'
> {
  readonly schema: 1;
  readonly rows: readonly PublishedRow[];
  readonly micro: readonly MicroTrial[];
}
