/** What the requests of one disk have charged: a disk that hangs keeps it. */
export interface MemoryShare {
  usedBytes: number;
}

/** What waits for memory of the budget. */
export interface MemoryWaiter {
  /** Bytes that it waits for. */
  readonly bytes: number;
  readonly share: MemoryShare;
  /** The bytes are charged: they are the waiter's until it releases them. */
  granted(): void;
}

/**
 * The bytes that payloads of all connections of a server may take. Requests
 * that do not fit wait, in the order in which they came, and their connections
 * are not read meanwhile.
 *
 * A disk gets no more than it leaves for others: half of the budget if it is the
 * only one, a third of it if another has as much. So requests to a disk that hangs
 * do not keep those to other disks waiting.
 */
export class MemoryBudget {
  readonly bytesMax: number;
  private used = 0;
  private readonly shares = new WeakMap<object, MemoryShare>();
  private readonly waiters = new Set<MemoryWaiter>();
  private grantScheduled = false;
  private readonly grant = (): void => {
    this.grantScheduled = false;
    // Later requests to the same disk wait too, although they may be smaller.
    const waiting = new Set<MemoryShare>();
    for (const waiter of this.waiters) {
      const { bytes, share } = waiter;
      if (waiting.has(share)) continue;
      if (!this.fits(bytes)) return;
      if (!this.fitsShare(bytes, share)) {
        waiting.add(share);
        continue;
      }
      this.waiters.delete(waiter);
      this.charge(bytes, share);
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

  /** What `disk` has charged, for all of its connections. */
  shareOf(disk: object): MemoryShare {
    let share = this.shares.get(disk);
    if (share === undefined) {
      share = { usedBytes: 0 };
      this.shares.set(disk, share);
    }
    return share;
  }

  /** Whether a request waits for what `share` has charged. */
  isWanted(share: MemoryShare): boolean {
    for (const waiter of this.waiters) {
      if (waiter.share === share || !this.fits(waiter.bytes)) return true;
    }
    return false;
  }

  /** Charges `bytes` where they fit and nothing waits. */
  tryAcquire(bytes: number, share: MemoryShare): boolean {
    if (this.waiters.size > 0 || !this.fits(bytes) || !this.fitsShare(bytes, share)) return false;
    this.charge(bytes, share);
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

  release(bytes: number, share: MemoryShare): void {
    this.charge(-bytes, share);
    this.scheduleGrant();
  }

  private charge(bytes: number, share: MemoryShare): void {
    this.used += bytes;
    share.usedBytes += bytes;
  }

  /** A single request that is larger than the budget is allowed alone. */
  private fits(bytes: number): boolean {
    return this.used + bytes <= this.bytesMax || this.used === 0;
  }

  /** A single request that is larger than the share is allowed alone. */
  private fitsShare(bytes: number, { usedBytes }: MemoryShare): boolean {
    return usedBytes === 0 || usedBytes + bytes <= this.bytesMax - this.used - bytes;
  }

  /** Later, since memory is released in the middle of sending. */
  private scheduleGrant(): void {
    if (this.grantScheduled || this.waiters.size === 0) return;
    this.grantScheduled = true;
    queueMicrotask(this.grant);
  }
}
