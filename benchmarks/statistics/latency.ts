/** Latency percentiles of a trial. */
import type { Histogram } from 'hdr-histogram-js';
import type { Latency } from '../results.js';

/** Percentiles of the curve: the same number for each nine, so that the tail is detailed. */
export const latencyPercentiles: readonly number[] = [
  ...[10, 20, 30, 40, 50, 60, 70, 80],
  ...[90, 95, 97, 98],
  ...[99, 99.5, 99.7, 99.8],
  ...[99.9, 99.95, 99.97, 99.98],
  ...[99.99, 99.995, 99.997, 99.998],
  99.999,
];

/** Minimum number of requests beyond a percentile, for it to be meaningful. */
const beyondMin = 10;

function at(histogram: Histogram, percentile: number): number {
  return histogram.getValueAtPercentile(percentile) / 1000;
}

function isKnown({ totalCount }: Histogram, percentile: number): boolean {
  return Math.round((totalCount * (100 - percentile)) / 100) >= beyondMin;
}

/** Of a histogram of nanoseconds. */
export function latencyOf(histogram: Histogram): Latency {
  return {
    p50: at(histogram, 50),
    p99: at(histogram, 99),
    p999: isKnown(histogram, 99.9) ? at(histogram, 99.9) : null,
  };
}

/**
 * Of a histogram of nanoseconds: microseconds at each of `latencyPercentiles`,
 * as far as there were requests enough, to the three digits that the histogram has.
 */
export function curveOf(histogram: Histogram): number[] {
  return latencyPercentiles
    .filter((percentile) => isKnown(histogram, percentile))
    .map((percentile) => Number(at(histogram, percentile).toPrecision(3)));
}
