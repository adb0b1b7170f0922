/** The time that stopping may take, from when it is made until `clear`. */
export class StopClock {
  private readonly timeoutMs: number;
  private readonly timers: NodeJS.Timeout[] = [];

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  /** A promise of false, for when `share` of the whole time is over. */
  after(share: number): Promise<false> {
    return new Promise((resolve) => {
      this.timers.push(setTimeout(resolve, this.timeoutMs * share, false));
    });
  }

  clear(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/** True where `work` ends, well or not, before the time is over. */
export function endsBefore(over: Promise<false>, work: Promise<unknown>): Promise<boolean> {
  const ended = work.then(
    () => true,
    () => true,
  );
  return Promise.race([ended, over]);
}
