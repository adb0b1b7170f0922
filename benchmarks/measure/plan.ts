/** Which samples are taken, in which order, and how long that may last. */
import { strategies, type Candidate, type Strategy, type Workload } from '../results.js';
import { differs } from '../workloads.js';

/** One run is discarded, and fewer than three others are too few for an error estimate. */
export const runsMin = 4;

/** A workload and its candidates. */
export interface Row {
  readonly workload: Workload;
  readonly candidates: readonly Candidate[];
}

export interface Timing {
  /** Of a sample, without warming up. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Rounds, each one run of every candidate of every row; the first is thrown away. */
  readonly runs: number;
  /**
   * How long all may last. Fewer rounds are made where so many do not fit into
   * most of it; the rest is for more rounds of what is not settled by then.
   * Undefined: as long as it takes, and nothing more.
   */
  readonly secondsMax: number | undefined;
}

/** Until then V8 compiles what the server does again and again. */
const warmUpSeconds = 0.2;

export const fullTiming: Timing = {
  seconds: 0.15,
  warmUpSeconds,
  runs: 10,
  secondsMax: undefined,
};
/**
 * Fewer runs fit into the time than with `fullTiming`, so each is longer. A clone
 * installs and builds within the three minutes as well, which can take 40 seconds.
 */
export const usualTiming: Timing = { ...fullTiming, seconds: 0.2, secondsMax: 130 };

/** Of the time, for rounds of everything. */
const wholeRoundsShare = 2 / 3;

/** Of a row, those of everything among them: more would not make a small difference a large one. */
export const settlingRunsMax = 40;

export function ourCandidates({ link }: Workload, hasAddon: boolean): Candidate[] {
  return strategies
    .filter((strategy) => differs(link, strategy) && (hasAddon || !needsAddon(strategy)))
    .map((strategy) => ({ type: 'strategy', strategy }));
}

export function needsAddon(strategy: Strategy): boolean {
  return strategy !== 'plain' && strategy !== 'stream';
}

/** How many rounds of everything there will be, if each takes so long. */
export function roundsWithin(timing: Timing, roundSeconds: number): number {
  if (timing.secondsMax === undefined) return timing.runs;
  const fitting = Math.floor((timing.secondsMax * wholeRoundsShare) / roundSeconds);
  return Math.min(timing.runs, Math.max(runsMin, fitting));
}
