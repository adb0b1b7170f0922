/**
 * Where more rounds are worth their time: a verdict that lies at the border
 * would be another one in the next run. Caller: run.ts.
 */
import { pairsOfOthers, pairsOverPlain, type Compared, type Pair } from './comparisons.js';
import type { Gain, Workload } from './results.js';
import { differenceMin, gainOver } from './statistics.js';

/** Two whose verdict is not settled yet. */
export interface Unsettled<Of> extends Pair<Of> {
  /** About how many more of their turns would settle it. */
  readonly turnsMissing: number;
}

export function unsettledOf<Of extends Compared>(
  workload: Workload,
  row: readonly Of[],
): Unsettled<Of>[] {
  return [...pairsOverPlain(row), ...pairsOfOthers(workload, row)].flatMap(({ of, over }) => {
    const doubt = doubtOf(gainOver(over.speeds, of.speeds));
    if (doubt <= 1) return [];
    // Errors shrink with the root of how often something was measured.
    return [{ of, over, turnsMissing: (doubt ** 2 - 1) * turnsOfBoth(of, over) }];
  });
}

function turnsOfBoth({ speeds }: Compared, other: Compared): number {
  return speeds.reduce(
    (sum, turns, round) => sum + Math.min(turns.length, other.speeds[round]?.length ?? 0),
    0,
  );
}

/**
 * How wide the interval is, as so many times what settles the verdict. A
 * difference is settled where the gain has twice the interval's half beyond the
 * least difference that counts, which is stricter than the verdict itself, so
 * that looking after every round does not make it right by chance. That there is
 * none is settled where the gain is less than that, and no gain of three times
 * as much is left in the interval.
 */
export function doubtOf(gain: Gain | null): number {
  if (gain === null) return Infinity;
  const middle = Math.abs(Math.log1p(gain.average));
  const error = Math.log1p(gain.high) - Math.log1p(gain.average);
  const beyond = middle - differenceMin;
  if (beyond > 0) return Math.min((2 * error) / beyond, doubtOfNone(middle, error));
  return doubtOfNone(middle, error);
}

function doubtOfNone(middle: number, error: number): number {
  return Math.max(middle / differenceMin, (middle + error) / (3 * differenceMin));
}
