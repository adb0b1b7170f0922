/** Deadlines of a shutdown, from its construction until `clear`. */
export class StopClock {
  private readonly timeoutMs: number;
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  /** Resolves with false when `share` of the timeout has passed. */
  after(share: number): Promise<false> {
    return new Promise((resolve) => {
      this.timers.push(setTimeout(resolve, this.timeoutMs * share, false));
    });
  }

  clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/** True if `work` settles, fulfilled or rejected, before the deadline. */
export function endsBefore(deadline: Promise<false>, work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(
    () => true,
    () => true,
  );
  return Promise.race([ended, deadline]);
}
