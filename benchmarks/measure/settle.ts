/**
 * Decides which rows need more rounds: a verdict close to the threshold could
 * change in the next run.
 */
import {
  pairsOfOthers,
  pairsOverPlain,
  type Compared,
  type Pair,
} from '../statistics/comparisons.js';
import type { Gain, Workload } from '../results.js';
import { differenceMin, gainOver } from '../statistics/gain.js';
import { mean, sum } from '../statistics/statistics.js';

/** The unsettled part of a row. */
export interface Unsettled<Of> {
  /** The candidates that are compared. */
  readonly candidates: readonly Of[];
  /** About how long they have to be measured, all together, for each verdict that it settles. */
  readonly secondsMissing: number;
}

/**
 * Undefined where all is settled. Verdicts for which each would have to be measured
 * for more than `secondsMax` are left alone where there are others. Less doubt than
 * 1 makes a verdict surer than it has to be.
 */
export function unsettledOf<Of extends Compared>(
  workload: Workload,
  row: readonly Of[],
  secondsMax = Infinity,
  doubtMax = 1,
): Unsettled<Of> | undefined {
  const all = [...pairsOverPlain(row), ...pairsOfOthers(workload, row)]
    .map((pair) => ({ ...pair, missing: secondsMissing(pair, doubtMax) }))
    .filter(({ missing }) => missing > 0);
  const near = all.filter(({ missing }) => missing <= secondsMax);
  const pairs = near.length > 0 ? near : all;
  if (pairs.length === 0) return undefined;
  const candidates = [...new Set(pairs.flatMap(({ of, over }) => [of, over]))];
  const missing = mean(pairs.map((pair) => pair.missing));
  return { candidates, secondsMissing: (missing * candidates.length) / pairs.length };
}

/** Errors shrink with the root of how often something was measured. */
function secondsMissing({ of, over }: Pair<Compared>, doubtMax: number): number {
  const doubt = doubtOf(gainOver(over.speeds, of.speeds));
  if (doubt <= doubtMax) return 0;
  if (doubt === Infinity) return Infinity;
  const seconds = of.seconds.map((own, round) => Math.min(own, over.seconds[round] ?? 0));
  return ((doubt / doubtMax) ** 2 - 1) * sum(seconds);
}

/**
 * How wide the interval is, as so many times what settles the verdict. A
 * difference is settled where the gain has twice the interval's half beyond the
 * least difference that counts, which is stricter than the verdict itself, so
 * that looking after every round does not make it right by chance. That there is
 * none is settled where at most half of the interval's half lies beyond it, and no
 * gain of twice as much is left in the interval.
 */
export function doubtOf(gain: Gain | null): number {
  if (gain === null) return Infinity;
  const middle = Math.abs(Math.log1p(gain.average));
  const error = Math.log1p(gain.high) - Math.log1p(gain.average);
  const beyond = middle - differenceMin;
  const ofNone = (middle + error) / (2 * differenceMin);
  if (beyond <= 0) return ofNone;
  return Math.min((2 * error) / beyond, Math.max((2 * beyond) / error, ofNone));
}
