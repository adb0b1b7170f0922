/** Averages of the samples of a trial, outliers left out. */
import type { Averages, Figure, Sample } from '../results.js';
import { mean, meanError, outliersOf } from './statistics.js';

export function averagesOf(all: readonly Sample[]): Averages {
  const outliers = outliersOf(all.map(({ requestsPerSecond }) => requestsPerSecond));
  const samples = all.filter((_, index) => outliers[index] !== true);
  const average = (key: Figure): number | null => {
    const known = samples.map((sample) => sample[key]).filter((value) => value !== null);
    return known.length === 0 ? null : mean(known);
  };
  const error = meanError(samples.map(({ requestsPerSecond }) => requestsPerSecond));
  return {
    outliers: all.length - samples.length,
    requestsPerSecond: average('requestsPerSecond'),
    // JSON has no infinity.
    requestsPerSecondError: Number.isFinite(error) ? error : null,
    systemCallsPerRequest: average('systemCallsPerRequest'),
    segmentsPerReply: average('segmentsPerReply'),
    bytesPerSegment: average('bytesPerSegment'),
    serverMicrosecondsPerRequest: average('serverMicrosecondsPerRequest'),
    clientMicrosecondsPerRequest: average('clientMicrosecondsPerRequest'),
  };
}
