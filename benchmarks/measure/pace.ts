/** Estimates how long samples take, from those taken. */
import type { Timing } from './plan.js';

/** Estimate of starting, filling and stopping a server. */
const startSeconds = 0.2;

export class Pace {
  private readonly clock: () => number;
  private readonly begin: number;
  private readonly timing: Timing;
  private samples = 0;
  private measuredSeconds = 0;

  /** `clock` returns seconds. */
  constructor(timing: Timing, clock = (): number => performance.now() / 1000) {
    this.timing = timing;
    this.clock = clock;
    this.begin = clock();
  }

  get elapsedSeconds(): number {
    return this.clock() - this.begin;
  }

  /** Records samples that were taken. */
  took(samples: number, seconds: number): void {
    this.samples += samples;
    this.measuredSeconds += samples * seconds;
  }

  /** Duration of a sample of that many seconds, overhead included. */
  secondsFor(seconds: number): number {
    const { samples, elapsedSeconds, measuredSeconds } = this;
    if (samples === 0) return startSeconds + this.timing.warmUpSeconds + seconds;
    return Math.max(0, (elapsedSeconds - measuredSeconds) / samples) + seconds;
  }
}
