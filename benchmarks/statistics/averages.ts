/** Averages of the samples of a trial, mishaps left out. */
import type { Averages, Figure, Sample } from '../results.js';
import { mean, meanError, mishapsOf } from './statistics.js';

export function averagesOf(all: readonly Sample[]): Averages {
  const mishaps = mishapsOf(all.map(({ requestsPerSecond }) => requestsPerSecond));
  const samples = all.filter((_, index) => mishaps[index] !== true);
  const average = (key: Figure): number | null => {
    const known = samples.map((sample) => sample[key]).filter((value) => value !== null);
    return known.length === 0 ? null : mean(known);
  };
  const error = meanError(samples.map(({ requestsPerSecond }) => requestsPerSecond));
  return {
    mishaps: all.length - samples.length,
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
