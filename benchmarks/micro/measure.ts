/** Timing of calls that are too short to be timed one by one. */
import { messageOf } from '../../lib/errors.js';
import type { MicroTrial } from '../results.js';
import { median, middleMean } from '../statistics/statistics.js';

/** A batch is about so long, or shorter where it may not be. */
const batchMs = 1;
/** Of each subject in each round at least, so that what interrupts one batch does not count. */
const batchesMin = 3;
/** Where batches are shorter than they should be, more of them: V8 is to compile them soon. */
const roundMs = 3;
/** Spent on batches that do not count, for the same reason. */
const warmUpMs = 25;

export interface MicroSubject {
  readonly name: string;
  readonly pieces?: number;
  /** Calls `count` times. */
  readonly repeat: (count: number) => void | Promise<void>;
  /** Done between two batches, untimed; batches are at most `countMax` calls then. */
  readonly between?: () => void;
  readonly countMax?: number;
}

/** A subject, and what each round measured: nanoseconds a call. */
export class MicroSeries {
  private readonly subject: MicroSubject;
  private readonly rounds: number[] = [];
  private count = 0;
  /** Why it cannot be measured here, such as by a file system that does not know the call. */
  failure: string | undefined;

  constructor(subject: MicroSubject) {
    this.subject = subject;
  }

  get name(): string {
    return this.subject.name;
  }

  async measure(): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      await this.measureRound();
    } catch (error) {
      this.failure = messageOf(error);
    }
  }

  /** The median of some batches. The first round finds out how long one is, warms up, and does not count. */
  private async measureRound(): Promise<void> {
    const { subject } = this;
    if (this.count === 0) {
      this.count = await countFor(subject);
      await timeBatches(subject, this.count, warmUpMs);
      return;
    }
    const milliseconds = await timeBatches(subject, this.count, roundMs);
    this.rounds.push((median(milliseconds) * 1e6) / this.count);
  }

  /** Null where it could not be measured. */
  get trial(): MicroTrial | null {
    if (this.failure !== undefined) return null;
    const { name, pieces } = this.subject;
    const { average, error } = middleMean(this.rounds);
    return {
      name,
      pieces: pieces ?? null,
      nanosecondsPerCall: average,
      nanosecondsError: error,
    };
  }
}

async function countFor(subject: MicroSubject): Promise<number> {
  const { countMax = Infinity } = subject;
  let count = 1;
  while (count < countMax && (await timeBatch(subject, count)) < batchMs) count *= 2;
  return Math.min(count, countMax);
}

async function timeBatches(
  subject: MicroSubject,
  count: number,
  atLeastMs: number,
): Promise<number[]> {
  const batches: number[] = [];
  let total = 0;
  while (batches.length < batchesMin || total < atLeastMs) {
    const milliseconds = await timeBatch(subject, count);
    batches.push(milliseconds);
    total += milliseconds;
  }
  return batches;
}

async function timeBatch({ repeat, between }: MicroSubject, count: number): Promise<number> {
  const start = performance.now();
  const repeated = repeat(count);
  if (repeated !== undefined) await repeated;
  const milliseconds = performance.now() - start;
  between?.();
  return milliseconds;
}
