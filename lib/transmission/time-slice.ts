/**
 * Limits how long one connection keeps the event loop to itself. The cost of
 * WRITEs is bounded by the payload that arrives, but a few bytes can request much
 * data or other work, and one read may deliver thousands of such requests. A time
 * slice ends with the turn of the event loop in which it began.
 */

/**
 * Work, other than READs and WRITEs, that a connection may do in a slice. Other
 * clients notice some ten times as much.
 */
export const timeSliceMs = 5;

/**
 * Bytes of READs that are answered at once in a slice: a client that reads its
 * replies as fast as they are sent never causes backpressure.
 */
export const timeSliceBytesMax = 8 * 2 ** 20;

/** Call back in the next turn of the event loop, after pending input: `setImmediate` in Node. */
export type Defer = (callback: () => void) => void;

export class TimeSlice {
  /** True when the connection has to wait for its next slice. */
  exhausted = false;
  private startedMs: number | undefined;
  private readBytes = 0;
  private endScheduled = false;
  private closed = false;
  private readonly defer: Defer;
  private readonly renewed: () => void;
  private readonly turnEnded = (): void => {
    this.endScheduled = false;
    this.startedMs = undefined;
    this.readBytes = 0;
    if (!this.exhausted || this.closed) return;
    this.exhausted = false;
    this.renewed();
  };

  /** `renewed` is called when a slice that was exhausted is followed by another. */
  constructor(defer: Defer, renewed: () => void) {
    this.defer = defer;
    this.renewed = renewed;
  }

  /** Call before work of unknown duration; pass the returned time to `chargeTime`. */
  start(): number {
    this.startedMs ??= performance.now();
    return this.startedMs;
  }

  /** The work is done, in the slice that began at `startedMs`. */
  chargeTime(startedMs: number): void {
    // Scheduled after the work, so that its replies leave before the next slice.
    this.scheduleEnd();
    if (performance.now() - startedMs >= timeSliceMs) this.exhausted = true;
  }

  /** A READ of `bytes` was answered at once. */
  chargeBytes(bytes: number): void {
    this.readBytes += bytes;
    if (this.readBytes < timeSliceBytesMax) return;
    this.scheduleEnd();
    this.exhausted = true;
  }

  /** Begin to count READs anew: cheaper than a clock for each of them. */
  resetBytes(): void {
    this.readBytes = 0;
  }

  /** No further slice follows. */
  close(): void {
    this.closed = true;
  }

  private scheduleEnd(): void {
    if (this.endScheduled) return;
    this.endScheduled = true;
    this.defer(this.turnEnded);
  }
}
