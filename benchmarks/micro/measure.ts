/** Timing of calls that are too short to be timed one by one. */
import type { MicroTrial } from '../results.js';
import { mean, meanError } from '../statistics.js';

/** A batch is about so long, or shorter where it may not be; so many of them make a trial at least. */
const batchMs = 1;
const batchesMin = 40;
const trialMs = 40;
const batchesThrownAway = 5;
/** The slowest ones were interrupted by something else. */
const batchesKept = 3 / 4;

export interface MicroSubject {
  readonly name: string;
  readonly pieces?: number;
  /** Calls `count` times. */
  readonly repeat: (count: number) => void | Promise<void>;
  /** Done between two batches, untimed; batches are at most `countMax` calls then. */
  readonly between?: () => void;
  readonly countMax?: number;
}

export async function measureMicro(subject: MicroSubject): Promise<MicroTrial> {
  const { name, pieces, countMax = Infinity } = subject;
  let count = 1;
  while (count < countMax && (await timeBatch(subject, count)) < batchMs) count *= 2;
  count = Math.min(count, countMax);
  for (let batch = 0; batch < batchesThrownAway; batch++) await timeBatch(subject, count);
  const milliseconds: number[] = [];
  for (let sum = 0; sum < trialMs || milliseconds.length < batchesMin;) {
    const batch = await timeBatch(subject, count);
    milliseconds.push(batch);
    sum += batch;
  }
  const kept = milliseconds.toSorted((a, b) => a - b).slice(0, milliseconds.length * batchesKept);
  const nanoseconds = kept.map((batch) => (batch * 1e6) / count);
  return {
    name,
    pieces: pieces ?? null,
    nanosecondsPerCall: mean(nanoseconds),
    nanosecondsError: meanError(nanoseconds),
  };
}

async function timeBatch({ repeat, between }: MicroSubject, count: number): Promise<number> {
  const start = performance.now();
  const repeated = repeat(count);
  if (repeated !== undefined) await repeated;
  const milliseconds = performance.now() - start;
  between?.();
  return milliseconds;
}
