/** Counts operations of a file in progress, for those that must wait for their end. */
export class InProgress {
  /** Called with the error of an operation that failed. */
  readonly failed: (error: unknown) => void;
  private count = 0;
  private becameIdle: (() => void) | undefined;
  /** Writes in progress that began before `whenWritesEnded` was last called, and after it. */
  private readonly writes: [number, number] = [0, 0];
  private period: 0 | 1 = 0;
  private writesEnded: (() => void) | undefined;

  constructor(failed: (error: unknown) => void) {
    this.failed = failed;
  }

  began(): void {
    this.count++;
  }

  ended(): void {
    this.count--;
    if (this.count === 0) this.becameIdle?.();
  }

  /** Returns what `writeEnded` is called with. */
  writeBegan(): 0 | 1 {
    this.count++;
    this.writes[this.period]++;
    return this.period;
  }

  writeEnded(period: 0 | 1): void {
    this.writes[period]--;
    if (this.writes[period] === 0 && period !== this.period) this.writesEnded?.();
    this.ended();
  }

  /** Counts `work` until it has settled. */
  async track<T>(work: Promise<T>): Promise<T> {
    this.began();
    try {
      return await work;
    } catch (error) {
      this.failed(error);
      throw error;
    } finally {
      this.ended();
    }
  }

  async trackWrite<T>(work: Promise<T>): Promise<T> {
    const period = this.writeBegan();
    try {
      return await work;
    } catch (error) {
      this.failed(error);
      throw error;
    } finally {
      this.writeEnded(period);
    }
  }

  /** Called once, when nothing more begins. */
  whenIdle(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.becameIdle = resolve;
    });
  }

  /** Settles when the writes that are in progress now have ended. One call at a time. */
  whenWritesEnded(): Promise<void> {
    const ending = this.period;
    this.period = ending === 0 ? 1 : 0;
    if (this.writes[ending] === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.writesEnded = resolve;
    });
  }
}
