/** What waits for memory of the budget. */
export interface MemoryWaiter {
  /** Bytes that it waits for. */
  readonly bytes: number;
  /** The bytes are charged: they are the waiter's until it releases them. */
  granted(): void;
}

/**
 * The bytes that payloads of all connections of a server may take. Requests
 * that do not fit wait, in the order in which they came, and their connections
 * are not read meanwhile.
 */
export class MemoryBudget {
  readonly bytesMax: number;
  private used = 0;
  private readonly waiters = new Set<MemoryWaiter>();
  private grantScheduled = false;
  private readonly grant = (): void => {
    this.grantScheduled = false;
    for (const waiter of this.waiters) {
      if (!this.fits(waiter.bytes)) return;
      this.waiters.delete(waiter);
      this.used += waiter.bytes;
      waiter.granted();
    }
  };

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Bytes that are charged now. */
  get usedBytes(): number {
    return this.used;
  }

  /** Charges `bytes` where they fit and nothing waits. */
  tryAcquire(bytes: number): boolean {
    if (this.waiters.size > 0 || !this.fits(bytes)) return false;
    this.used += bytes;
    return true;
  }

  /** Charges the waiter's bytes as soon as they fit, and tells it. */
  wait(waiter: MemoryWaiter): void {
    this.waiters.add(waiter);
    // Others may have given up, or released, since `tryAcquire`.
    this.scheduleGrant();
  }

  /** The waiter, if it still waits, does so no longer. */
  cancel(waiter: MemoryWaiter): void {
    // The next one may need less.
    if (this.waiters.delete(waiter)) this.scheduleGrant();
  }

  release(bytes: number): void {
    this.used -= bytes;
    this.scheduleGrant();
  }

  /** A single request that is larger than the budget is allowed alone. */
  private fits(bytes: number): boolean {
    return this.used + bytes <= this.bytesMax || this.used === 0;
  }

  /** Later, since memory is released in the middle of sending. */
  private scheduleGrant(): void {
    if (this.grantScheduled || this.waiters.size === 0) return;
    this.grantScheduled = true;
    queueMicrotask(this.grant);
  }
}
