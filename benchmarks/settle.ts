/**
 * Where more rounds are worth their time: a verdict that lies at the border
 * would be another one in the next run. Caller: run.ts.
 */
import { pairsOfOthers, pairsOverPlain, type Compared } from './comparisons.js';
import type { Gain, Workload } from './results.js';
import { differenceMin, gainOver } from './statistics.js';

export interface Unsettled<Of> {
  /** More than 1; the most doubtful verdict's. */
  readonly doubt: number;
  /** Whom to measure once more: those whose verdicts are in doubt. */
  readonly contenders: readonly Of[];
}

/** What of a row is not settled yet; undefined where all is. */
export function unsettledOf<Of extends Compared>(
  workload: Workload,
  row: readonly Of[],
): Unsettled<Of> | undefined {
  const doubtful = [...pairsOverPlain(row), ...pairsOfOthers(workload, row)]
    .map((pair) => ({ ...pair, doubt: doubtOf(gainOver(pair.over.speeds, pair.of.speeds)) }))
    .filter(({ doubt }) => doubt > 1);
  if (doubtful.length === 0) return undefined;
  return {
    doubt: Math.max(...doubtful.map(({ doubt }) => doubt)),
    contenders: [...new Set(doubtful.flatMap(({ of, over }) => [of, over]))],
  };
}

/**
 * How wide the interval is, as so many times what settles the verdict. A
 * difference is settled where the gain has twice the interval's half beyond the
 * least difference that counts, which is stricter than the verdict itself, so
 * that looking after every round does not make it right by chance. That there is
 * none is settled where no gain of three times that is left in the interval.
 */
export function doubtOf(gain: Gain | null): number {
  if (gain === null) return Infinity;
  const middle = Math.log1p(gain.average);
  const error = Math.log1p(gain.high) - middle;
  const beyond = Math.abs(middle) - differenceMin;
  return Math.min(
    (Math.abs(middle) + error) / (3 * differenceMin),
    beyond > 0 ? (2 * error) / beyond : Infinity,
  );
}
