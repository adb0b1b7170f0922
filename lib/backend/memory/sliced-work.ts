import type { MaybePromise } from '../maybe-promise.js';

/** How long work may occupy the event loop in one turn, for all requests together. */
const sliceMsMax = 2;
/** The most bytes that are zeroed in one turn. */
const sliceBytesMax = 2 ** 24;
/** Up to this length work is done at once. */
const shortBytesMax = 2 ** 20;

/** Does a small part of the work. Returns the bytes that it touched, or 0 where nothing is left to do. */
export type Step = () => number;

interface Job {
  readonly step: Step;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does long work in slices, one in each turn of the event loop, however many
 * requests there are: other clients are served between them. Requests take turns.
 */
export class SlicedWork {
  private readonly jobs: Job[] = [];
  /** Of the slice in this turn of the event loop, if there is one. */
  private startedMs: number | undefined;
  private touchedBytes = 0;
  private endScheduled = false;

  /**
   * Completes at once what is short, or fits this turn's slice. `lengthBytes` is at
   * least what the steps touch. Throws, or rejects, as `step` does.
   */
  run(step: Step, lengthBytes: number): MaybePromise<void> {
    if (lengthBytes <= shortBytesMax) {
      // The server bounds how many of these a connection may send in a turn.
      while (!this.complete(step));
      return undefined;
    }
    if (this.jobs.length === 0) {
      this.startSlice();
      while (!this.exhausted) {
        if (this.complete(step)) return undefined;
      }
    }
    return new Promise((resolve, reject) => {
      this.jobs.push({ step, resolve, reject });
    });
  }

  private startSlice(): void {
    this.startedMs ??= performance.now();
    if (this.endScheduled) return;
    this.endScheduled = true;
    setImmediate(this.turnEnded);
  }

  private get exhausted(): boolean {
    if (this.touchedBytes >= sliceBytesMax) return true;
    return performance.now() - (this.startedMs ?? 0) >= sliceMsMax;
  }

  private complete(step: Step): boolean {
    const bytes = step();
    this.touchedBytes += bytes;
    return bytes === 0;
  }

  private readonly turnEnded = (): void => {
    this.endScheduled = false;
    this.startedMs = undefined;
    this.touchedBytes = 0;
    if (this.jobs.length === 0) return;
    this.startSlice();
    do {
      const job = this.jobs.shift();
      if (job === undefined) return;
      try {
        if (this.complete(job.step)) job.resolve();
        else this.jobs.push(job);
      } catch (error) {
        job.reject(error);
      }
    } while (!this.exhausted);
  };
}
