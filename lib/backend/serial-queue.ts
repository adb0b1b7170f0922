/**
 * Runs asynchronous work one piece at a time, in the order in which it was
 * added. Work that fails does not keep what follows from running.
 */
export class SerialQueue {
  private last: Promise<unknown> = Promise.resolve();

  /** Settles as `work` does, once everything that was added before has settled. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work);
    this.last = result;
    return result;
  }

  /** Fulfilled when everything that was added before has settled. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.last]);
  }
}
