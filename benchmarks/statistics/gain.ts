/**
 * How much faster one candidate is than another, with a confidence interval.
 */
import type { Gain, Verdict } from '../results.js';
import { mean, outliersOf, standardError, studentT, sum } from './statistics.js';

/**
 * The least difference that counts, as a logarithm: 3 %. Which way of sending
 * wins is not decided by less, which another kernel or compiler can turn round.
 */
export const differenceMin = Math.log(1.03);

/** Requests a second: of each run, those of its turns. */
export type Speeds = readonly (readonly number[])[];

/** Two turns that belong together. */
interface Pair {
  /** As a logarithm. */
  readonly ratio: number;
  /** Whether neither is a outlier. */
  readonly isSound: boolean;
}

/** The ratios of a gain, run by run. */
interface Ratios {
  /** Those that are averaged. */
  readonly counted: Speeds;
  /** Those that the error is estimated from. */
  readonly spread: Speeds;
}

/**
 * The gain of `others` over `plain`, which took turns in each run: each turn is
 * compared with the one beside it, so that what slows both down for a while does
 * not count. Twice as fast and half as fast are equally far from no gain, so
 * averages and errors are those of logarithms. By 99 %, not 95: a table has dozens
 * of rows. Null for fewer than two pairs.
 */
export function gainOver(plain: Speeds, others: Speeds): Gain | null {
  const runs = pairsOf(plain, others);
  const { counted, spread } = ratiosOf(runs);
  const all = counted.flat();
  if (all.length < 2) return null;
  const average = mean(all);
  const error = errorOf(spread, all.length);
  const ofRuns = runs.filter((pairs) => pairs.length > 0).map(averageOfRun);
  return {
    average: Math.expm1(average),
    worst: Math.expm1(Math.min(average, ...ofRuns)),
    best: Math.expm1(Math.max(average, ...ofRuns)),
    low: Math.expm1(average - error),
    high: Math.expm1(average + error),
    verdict: verdictOf(average, error),
  };
}

/** Of a run by itself. */
function averageOfRun(pairs: readonly Pair[]): number {
  const some = ratiosOf([pairs]).counted.flat();
  return mean(some.length > 0 ? some : pairs.map(({ ratio }) => ratio));
}

function pairsOf(plain: Speeds, others: Speeds): Pair[][] {
  const counts = others.map((turns, run) => Math.min(turns.length, plain[run]?.length ?? 0));
  const own = counts.map((count, run) => joined(others[run] ?? [], count));
  const beside = counts.map((count, run) => joined(plain[run] ?? [], count));
  const [ownOutliers, outliersBeside] = [outlierTurns(own), outlierTurns(beside)];
  return own.map((turns, run) =>
    turns.flatMap((speed, turn): Pair[] => {
      const other = beside[run]?.[turn];
      if (other === undefined) return [];
      const isOutlier = ownOutliers[run]?.[turn] === true || outliersBeside[run]?.[turn] === true;
      return [{ ratio: Math.log(speed / other), isSound: !isOutlier }];
    }),
  );
}

/** As many turns as `count`: where one has several in the time of one of the other, their average. */
function joined(speeds: readonly number[], count: number): number[] {
  const size = count === 0 ? 0 : Math.floor(speeds.length / count);
  return Array.from({ length: count }, (_, turn) =>
    mean(speeds.slice(turn * size, (turn + 1) * size)),
  );
}

/** With fewer pairs, half of them are too few to estimate the error. */
const middlePairsMin = 12;

function ratiosOf(runs: readonly (readonly Pair[])[]): Ratios {
  return runs.flat().length < middlePairsMin ? withoutOutliers(runs) : middleHalf(runs);
}

function withoutOutliers(runs: readonly (readonly Pair[])[]): Ratios {
  const counted = runs.map((turns) =>
    turns.filter(({ isSound }) => isSound).map(({ ratio }) => ratio),
  );
  return { counted, spread: counted };
}

/**
 * Of a few milliseconds, many turns are disturbed on a machine that others use as
 * well, and how much is chance: the quarters of pairs with the highest and the
 * lowest ratios do not count. So a gain is of what usually is: a stall now and
 * then shows in rates and latencies. For the error the quarters are taken as the
 * outermost of those that count (Tukey and McLaughlin 1963).
 */
function middleHalf(runs: readonly (readonly Pair[])[]): Ratios {
  const sorted = runs
    .flatMap((turns, run) => turns.map(({ ratio }) => ({ ratio, run })))
    .toSorted((a, b) => a.ratio - b.ratio);
  const quarter = Math.floor(sorted.length / 4);
  const middle = sorted.slice(quarter, sorted.length - quarter);
  const [lowest = 0, highest = 0] = [middle[0]?.ratio, middle.at(-1)?.ratio];
  return {
    counted: runs.map((_, number) =>
      middle.filter(({ run }) => run === number).map(({ ratio }) => ratio),
    ),
    spread: runs.map((turns) =>
      turns.map(({ ratio }) => Math.max(lowest, Math.min(ratio, highest))),
    ),
  };
}

/** Of a normal distribution, two-sided. */
const normal99 = 2.5758;

/**
 * Half of the interval of the average of so many that are counted, from turns.
 * Those of a run share a server process: where runs differ by more than their
 * turns let expect, it is from runs. Their own quantile would be that of a few
 * samples, as if nothing was known of turns.
 */
function errorOf(spread: Speeds, counted: number): number {
  const all = spread.flat();
  const ofTurns = (studentT(counted - 1, 0.99) * standardError(all) * all.length) / counted;
  const runs = spread.filter((turns) => turns.length > 0);
  if (runs.length < 2) return ofTurns;
  const center = mean(all);
  const squares = runs.map((turns) => sum(turns.map((ratio) => ratio - center)) ** 2);
  const ofRuns = Math.sqrt((sum(squares) * runs.length) / (runs.length - 1)) / counted;
  return Math.max(normal99 * ofRuns, ofTurns);
}

function outlierTurns(speeds: Speeds): boolean[][] {
  const outliers = outliersOf(speeds.flat()).values();
  return speeds.map((turns) => turns.map(() => outliers.next().value === true));
}

function verdictOf(average: number, error: number): Verdict {
  if (average - error > differenceMin) return 'faster';
  if (average + error < -differenceMin) return 'slower';
  return 'no difference shown';
}
