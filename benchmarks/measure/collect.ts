/** Turns the samples of a plan into results. */
import { averagesOf } from '../statistics/averages.js';
import { pairsOfOthers, pairsOverPlain } from '../statistics/comparisons.js';
import { curveOf, latencyOf } from '../statistics/latency.js';
import { nameOf, nameOfCandidate } from '../names.js';
import type { Comparison, Candidate, Gain, Skipped, Trial, Workload } from '../results.js';
import type { Series } from './series.js';
import { gainOver } from '../statistics/gain.js';

export interface MeasuredRow {
  readonly workload: Workload;
  readonly series: readonly Series[];
  /** Those that count. */
  rounds: number;
}

export interface Collected {
  readonly trials: readonly Trial[];
  readonly comparisons: readonly Comparison[];
  readonly skipped: readonly Skipped[];
}

/** The trials and comparisons; candidates that failed are skipped. */
export function collect(
  rows: readonly MeasuredRow[],
  isNamed: (candidate: Candidate) => boolean = () => false,
): Collected {
  const trials: Trial[] = [];
  const comparisons: Comparison[] = [];
  const skipped: Skipped[] = [];
  for (const { workload, series } of rows) {
    const sound = series.filter(({ failure }) => failure === undefined);
    for (const { candidate, failure } of series) {
      if (failure === undefined) continue;
      const what = `${nameOfCandidate(candidate)}: ${nameOf(workload)}`;
      const failed = candidate.type === 'strategy' || isNamed(candidate);
      skipped.push({ what, why: failure, ...(failed && { failed }) });
    }
    const gains = new Map(
      pairsOverPlain(sound).map(({ of, over }) => [of, gainOver(over.speeds, of.speeds)]),
    );
    trials.push(...sound.map((one) => trialOf(workload, one, gains.get(one) ?? null)));
    comparisons.push(
      ...pairsOfOthers(workload, sound).flatMap(({ of, over }) => {
        const gain = gainOver(over.speeds, of.speeds);
        const names = { of: nameOfCandidate(of.candidate), over: nameOfCandidate(over.candidate) };
        return gain === null ? [] : [{ workload, ...names, gain }];
      }),
    );
  }
  return { trials, comparisons, skipped };
}

function trialOf(workload: Workload, series: Series, gain: Gain | null): Trial {
  const { candidate, samples, histogram } = series;
  return {
    workload,
    candidate,
    samples,
    averages: averagesOf(samples),
    latencyMicroseconds: histogram === undefined ? null : latencyOf(histogram),
    latencyCurve: histogram === undefined ? [] : curveOf(histogram),
    gain,
  };
}
