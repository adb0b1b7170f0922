/** How long samples take, and what that lets expect. Caller: run.ts. */
import type { Timing } from './plan.js';

/** Starting and stopping servers, connecting, filling disks: about what that takes for each. */
const startSeconds = 0.2;

export class Pace {
  private readonly clock: () => number;
  private readonly begin: number;
  private readonly timing: Timing;
  private samples = 0;
  private measuredSeconds = 0;

  /** `clock` tells seconds. */
  constructor(timing: Timing, clock = (): number => performance.now() / 1000) {
    this.timing = timing;
    this.clock = clock;
    this.begin = clock();
  }

  get elapsedSeconds(): number {
    return this.clock() - this.begin;
  }

  /** So many samples were taken, each of so many seconds. */
  took(samples: number, seconds: number): void {
    this.samples += samples;
    this.measuredSeconds += samples * seconds;
  }

  /** What a sample of so many seconds takes, with all that goes with it. */
  secondsFor(seconds: number): number {
    const { samples, elapsedSeconds, measuredSeconds } = this;
    if (samples === 0) return startSeconds + this.timing.warmUpSeconds + seconds;
    return Math.max(0, (elapsedSeconds - measuredSeconds) / samples) + seconds;
  }
}
