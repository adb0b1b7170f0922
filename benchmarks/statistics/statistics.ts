/** Statistics of a few noisy samples of one candidate; see gain.ts for two. */

/** Quantiles of Student's t for 1 to 30 degrees of freedom, two-sided. */
const t95 = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788,
  2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639,
  2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
];
const t99 = [
  63.6567, 9.9248, 5.8409, 4.6041, 4.0321, 3.7074, 3.4995, 3.3554, 3.2498, 3.1693, 3.1058, 3.0545,
  3.0123, 2.9768, 2.9467, 2.9208, 2.8982, 2.8784, 2.8609, 2.8453, 2.8314, 2.8188, 2.8073, 2.7969,
  2.7874, 2.7787, 2.7707, 2.7633, 2.7564, 2.75,
];

export type Confidence = 0.95 | 0.99;

/** For more degrees of freedom than the table has, its last quantile, which is a little wide. */
export function studentT(degrees: number, confidence: Confidence): number {
  const table = confidence === 0.95 ? t95 : t99;
  return table[Math.min(degrees, table.length) - 1] ?? Infinity;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** Half of the confidence interval of the mean; infinite for fewer than two values. */
export function meanError(values: readonly number[], confidence: Confidence = 0.95): number {
  if (values.length < 2) return Infinity;
  return studentT(values.length - 1, confidence) * standardError(values);
}

/**
 * Of the middle half, which odd values do not move, and half of its 95 %
 * confidence interval: of a trimmed mean, after Tukey and McLaughlin.
 */
export function middleMean(values: readonly number[]): {
  readonly average: number;
  readonly error: number;
} {
  if (values.length < 2) return { average: mean(values), error: Infinity };
  const sorted = values.toSorted((a, b) => a - b);
  const cut = Math.floor(sorted.length / 4);
  const middle = sorted.slice(cut, sorted.length - cut);
  const [lowest = 0, highest = 0] = [middle[0], middle.at(-1)];
  const pulledIn = sorted.map((value) => Math.min(Math.max(value, lowest), highest));
  const share = middle.length / sorted.length;
  const quantile = studentT(middle.length - 1, 0.95);
  return { average: mean(middle), error: (quantile * standardError(pulledIn)) / share };
}

/** Of the mean of two values at least. */
export function standardError(values: readonly number[]): number {
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** A outlier reaches less than this of its series' median. */
const outlierShare = 0.85;
/** It is also so many times as far below the median as half of the samples are from it at most. */
const outlierDeviations = 5;
/** Of fewer samples none can be called the odd one. */
const outlierSamplesMin = 5;
/** Where more samples than this are so slow, that is how the candidate is, and all count. */
const outliersShareMax = 1 / 3;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return mean(sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1));
}

/**
 * Which of a candidate's samples are outliers. On virtual machines a few are up
 * to several times as slow as the others, whatever the candidate: Unix sockets show it
 * most. One of them would hide a difference that all others show. How far away
 * is too far depends on how far the other samples lie from each other: where all
 * of them vary, leaving some out would make verdicts of chance.
 */
export function outliersOf(speeds: readonly number[]): boolean[] {
  const middle = median(speeds);
  const deviation = median(speeds.map((speed) => Math.abs(speed - middle)));
  const limit = Math.min(outlierShare * middle, middle - outlierDeviations * deviation);
  const slow = speeds.map((speed) => speed < limit);
  const count = slow.filter(Boolean).length;
  const areOdd = speeds.length >= outlierSamplesMin && count <= speeds.length * outliersShareMax;
  return areOdd ? slow : slow.map(() => false);
}

/** A random order, by a source of numbers from 0 to 1. */
export function shuffled<T>(values: readonly T[], random: () => number = Math.random): T[] {
  const order = [...values];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const [a, b] = [order[last], order[other]];
    if (a === undefined || b === undefined) continue;
    [order[last], order[other]] = [b, a];
  }
  return order;
}
