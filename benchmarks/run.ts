/**
 * All samples of a plan, round by round. Caller: bench.ts. Calls: sample.ts.
 * Owns: what was measured so far, and the time.
 */
import type { Histogram } from 'hdr-histogram-js';
import { messageOf } from '../lib/errors.js';
import { expectedRoundSeconds, round, roundsWithin, type Row, type Timing } from './plan.js';
import type { Contender, Latency, Sample, Skipped, Trial, Workload } from './results.js';
import type { Taken } from './sample.js';
import { gainOver, mean } from './statistics.js';

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
}

/** What was measured of one contender in one row. */
class Series {
  readonly samples: Sample[] = [];
  readonly latencies: Latency[] = [];
  histogram: Histogram | undefined;
  failure: string | undefined;

  add({ sample, histogram, latency }: Taken): void {
    this.samples.push(sample);
    if (latency !== undefined) this.latencies.push(latency);
    if (this.histogram === undefined) this.histogram = histogram;
    else if (histogram !== undefined) this.histogram.add(histogram);
  }

  get latency(): Latency | null {
    const { histogram, latencies } = this;
    if (histogram !== undefined) {
      const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
      return { p50: at(50), p99: at(99), p999: at(99.9) };
    }
    if (latencies.length === 0) return null;
    const average = (key: keyof Latency): number => mean(latencies.map((one) => one[key]));
    return { p50: average('p50'), p99: average('p99'), p999: average('p999') };
  }
}

export interface Measured {
  readonly trials: readonly Trial[];
  readonly skipped: readonly Skipped[];
}

export async function runPlan(rows: readonly Row[], options: RunOptions): Promise<Measured> {
  const { timing, take, progress, signal } = options;
  const table = rows.map(({ contenders }) => contenders.map(() => new Series()));
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  let roundSeconds = expectedRoundSeconds(rows, timing);
  let rounds = roundsWithin(timing, roundSeconds);
  for (let number = 0; number < rounds; number++) {
    const steps = round(rows);
    for (const [index, step] of steps.entries()) {
      signal.throwIfAborted();
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
        if (contender.type === 'strategy') throw error;
        series.failure = messageOf(error);
      }
    }
    roundSeconds = elapsed() / (number + 1);
    rounds = Math.max(number + 1, roundsWithin(timing, roundSeconds));
  }
  return collect(rows, table);
}

function collect(rows: readonly Row[], table: readonly (readonly Series[])[]): Measured {
  const trials: Trial[] = [];
  const skipped: Skipped[] = [];
  rows.forEach(({ workload, contenders }, rowIndex) => {
    const row = table[rowIndex] ?? [];
    const plain = row[contenders.findIndex(isPlain)];
    contenders.forEach((contender, index) => {
      const series = row[index];
      if (series === undefined) return;
      if (series.failure !== undefined) {
        const what = `${nameOfContender(contender)}: ${nameOf(workload)}`;
        skipped.push({ what, why: series.failure });
        return;
      }
      const known = plain !== undefined && plain.samples.length > 1 && !isPlain(contender);
      trials.push({
        workload,
        contender,
        samples: series.samples,
        latencyMicroseconds: series.latency,
        gain: known ? gainOver(speeds(plain), speeds(series)) : null,
      });
    });
  });
  return { trials, skipped };
}

function speeds({ samples }: Series): number[] {
  return samples.map(({ requestsPerSecond }) => requestsPerSecond);
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
