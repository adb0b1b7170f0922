/**
 * All samples of a plan, round by round. Caller: bench.ts. Calls: sample.ts.
 * Owns: what was measured so far, and the time.
 */
import type { Histogram } from 'hdr-histogram-js';
import { messageOf } from '../lib/errors.js';
import { averagesOf } from './averages.js';
import { comparisonsOf, hasDefault } from './comparisons.js';
import { curveOf, latencyOf } from './latency.js';
import { expectedRoundSeconds, round, roundsWithin, type Row, type Timing } from './plan.js';
import type { Comparison, Contender, Sample, Skipped, Trial, Workload } from './results.js';
import type { Taken } from './sample.js';
import { gainOver } from './statistics.js';

export interface Progress {
  /** Of 1. */
  readonly done: number;
  readonly secondsLeft: number;
  /** What is being measured. */
  readonly what: string;
}

export interface RunOptions {
  readonly timing: Timing;
  readonly take: (workload: Workload, contender: Contender) => Promise<Taken>;
  readonly progress: (progress: Progress) => void;
  /** Aborted, no further sample is begun. */
  readonly signal: AbortSignal;
  /** Whether a server of others was asked for, so that it fails as ours do. */
  readonly isNamed?: (contender: Contender) => boolean;
  /** Numbers from 0 to 1, by which the order is chosen. */
  readonly random?: () => number;
}

/** What was measured of one contender in one row. */
class Series {
  readonly samples: Sample[] = [];
  histogram: Histogram | undefined;
  failure: string | undefined;

  add({ sample, histogram }: Taken): void {
    this.samples.push(sample);
    if (this.histogram === undefined) this.histogram = histogram;
    else if (histogram !== undefined) this.histogram.add(histogram);
  }
}

export interface Measured {
  readonly trials: readonly Trial[];
  readonly comparisons: readonly Comparison[];
  readonly skipped: readonly Skipped[];
  /** How many rounds are counted of each trial, the one that warms up left out. */
  readonly rounds: number;
  readonly interrupted: boolean;
}

/** Rounds of which a run that was interrupted is still worth a report, the first left out. */
const roundsMin = 3;

/** @throws the signal's reason where it was aborted before there is something to report. */
export async function runPlan(rows: readonly Row[], options: RunOptions): Promise<Measured> {
  const { timing, take, progress, signal } = options;
  const table = rows.map(({ contenders }) => contenders.map(() => new Series()));
  // Asked anew each time: it changes while a sample is taken.
  const isStopped = (): boolean => signal.aborted;
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  let roundSeconds = expectedRoundSeconds(rows, timing);
  let rounds = roundsWithin(timing, roundSeconds);
  let number = 0;
  for (; number < rounds && !isStopped(); number++) {
    const steps = round(rows, options.random);
    for (const [index, step] of steps.entries()) {
      if (isStopped()) break;
      const row = rows[step.row];
      const contender = row?.contenders[step.contender];
      const series = table[step.row]?.[step.contender];
      if (row === undefined || contender === undefined || series === undefined) continue;
      const done = (number + index / steps.length) / rounds;
      progress({
        done,
        secondsLeft: rounds * roundSeconds * (1 - done),
        what: `${nameOf(row.workload)} ${nameOfContender(contender)}`,
      });
      if (series.failure !== undefined) continue;
      try {
        const taken = await take(row.workload, contender);
        // The first one warms up: files, caches, the load.
        if (number > 0) series.add(taken);
      } catch (error) {
        // Stopping ends the load, and with it what it was asked.
        if (!isStopped()) series.failure = messageOf(error);
      }
    }
    roundSeconds = elapsed() / (number + 1);
    rounds = Math.max(number + 1, roundsWithin(timing, roundSeconds));
  }
  // The round that was cut short is not whole.
  const counted = number - (signal.aborted ? 2 : 1);
  if (counted < roundsMin) signal.throwIfAborted();
  return { ...collect(rows, table, options.isNamed), rounds: counted, interrupted: signal.aborted };
}

function collect(
  rows: readonly Row[],
  table: readonly (readonly Series[])[],
  isNamed: RunOptions['isNamed'],
): Pick<Measured, 'trials' | 'comparisons' | 'skipped'> {
  const trials: Trial[] = [];
  const comparisons: Comparison[] = [];
  const skipped: Skipped[] = [];
  rows.forEach(({ workload, contenders }, rowIndex) => {
    const row = table[rowIndex] ?? [];
    const plain = row[contenders.findIndex(isPlain)];
    const base = plain?.failure === undefined ? plain : undefined;
    const first = trials.length;
    contenders.forEach((contender, index) => {
      const series = row[index];
      if (series === undefined) return;
      if (series.failure !== undefined) {
        const what = `${nameOfContender(contender)}: ${nameOf(workload)}`;
        const failed = contender.type === 'strategy' || isNamed?.(contender) === true;
        skipped.push({ what, why: series.failure, ...(failed && { failed }) });
        return;
      }
      const { histogram } = series;
      trials.push({
        workload,
        contender,
        samples: series.samples,
        averages: averagesOf(series.samples),
        latencyMicroseconds: histogram === undefined ? null : latencyOf(histogram),
        latencyCurve: histogram === undefined ? [] : curveOf(histogram),
        gain:
          base === undefined || !isForPlain(contender, contenders)
            ? null
            : gainOver(speeds(base), speeds(series)),
      });
    });
    comparisons.push(...comparisonsOf(trials.slice(first)));
  });
  return { trials, comparisons, skipped };
}

function speeds({ samples }: Series): number[] {
  return samples.map(({ requestsPerSecond }) => requestsPerSecond);
}

/** Whether it is compared with `plain`: strategies are, and others where nothing better of ours is. */
function isForPlain(contender: Contender, all: readonly Contender[]): boolean {
  return contender.type === 'strategy' ? !isPlain(contender) : !hasDefault(all);
}

function isPlain(contender: Contender): boolean {
  return contender.type === 'strategy' && contender.strategy === 'plain';
}

export function nameOfContender(contender: Contender): string {
  return contender.type === 'strategy' ? contender.strategy : contender.name;
}

export function nameOf({ link, kind, connections, depth, headers }: Workload): string {
  return `${link} ${kind}, ${connections} × ${depth}, ${headers}`;
}
