/**
 * The memory of one connection's payloads: what it takes of the budget, and the
 * buffers that are used again.
 */
import type { Backend, Bytes } from '../../backend/backend.js';
import type { Lease } from '../../transport/sender.js';
import type { MemoryBudget, MemoryShare, MemoryWaiter } from './memory-budget.js';

/** Memory for payloads. It need not be zeroed: all of it is overwritten before it is used. */
export interface PayloadBuffers {
  /** Memory that is never released: the backend may keep it. */
  allocate(bytes: number): Uint8Array;
  /** Memory that `release` gets back. */
  take(bytes: number): Uint8Array;
  release(buffer: Uint8Array): void;
}

/**
 * A request of up to so many bytes is not charged where it is the only one of
 * its connection: other clients that use up the budget do not stop it.
 */
const unchargedBytesMax = 64 * 1024;

/** The result of `acquire` where the request has to wait. */
export const notAdmitted = -1;

export class ConnectionMemory {
  private readonly budget: MemoryBudget;
  private readonly share: MemoryShare;
  private readonly buffers: PayloadBuffers;
  private readonly backend: Backend;
  private readonly chargesReads: boolean;
  private readonly reusesPayloads: boolean;
  private readonly waiter: MemoryWaiter & { bytes: number };
  private charged = 0;
  /** Leases that have been released, to be used again. */
  private readonly spareLeases: ReplyLease[] = [];

  /** `granted` gets the bytes for which `acquire` has returned `notAdmitted`. */
  constructor(
    budget: MemoryBudget,
    buffers: PayloadBuffers,
    backend: Backend,
    granted: (bytes: number) => void,
  ) {
    this.budget = budget;
    this.share = budget.shareOf(backend);
    this.buffers = buffers;
    this.backend = backend;
    this.chargesReads = backend.readsInPlace !== true;
    this.reusesPayloads = backend.payloadLifetime !== undefined;
    this.waiter = {
      bytes: 0,
      share: this.share,
      granted: () => {
        const { bytes } = this.waiter;
        this.charged += bytes;
        granted(bytes);
      },
    };
  }

  /** Bytes that are charged and that another request waits for. */
  get wantedBytes(): number {
    return this.charged > 0 && this.budget.isWanted(this.share) ? this.charged : 0;
  }

  /**
   * The bytes that were charged for a payload of `bytes`, or `notAdmitted`:
   * `granted` is called later. `alone` where the connection has no other request.
   */
  acquire(bytes: number, alone: boolean): number {
    if (bytes === 0 || (alone && bytes <= unchargedBytesMax)) return 0;
    if (this.budget.tryAcquire(bytes, this.share)) {
      this.charged += bytes;
      return bytes;
    }
    this.waiter.bytes = bytes;
    this.budget.wait(this.waiter);
    return notAdmitted;
  }

  /** As `acquire`, for a READ: a backend that returns views of its own memory takes no more for it. */
  acquireRead(bytes: number, alone: boolean): number {
    return this.chargesReads ? this.acquire(bytes, alone) : 0;
  }

  release(bytes: number): void {
    if (bytes === 0) return;
    this.charged -= bytes;
    this.budget.release(bytes, this.share);
  }

  /** Memory for the payload of a WRITE. */
  takePayload(bytes: number): Uint8Array {
    return this.reusesPayloads ? this.buffers.take(bytes) : this.buffers.allocate(bytes);
  }

  /** The WRITE whose payload this was has been answered. */
  releasePayload(payload: Uint8Array): void {
    if (this.reusesPayloads) this.buffers.release(payload);
  }

  /** Gives back `bytes` of the budget, and `result` to the backend, when the reply has left. */
  lease(bytes: number, result: Bytes): Lease | undefined {
    if (bytes === 0 && this.backend.releaseRead === undefined) return undefined;
    const lease = this.spareLeases.pop() ?? new ReplyLease(this);
    lease.bytes = bytes;
    lease.result = result;
    return lease;
  }

  /** What a READ returned is not sent, or was sent. */
  releaseRead(bytes: number, result: Bytes): void {
    this.release(bytes);
    this.backend.releaseRead?.(result);
  }

  returnLease(lease: ReplyLease): void {
    this.spareLeases.push(lease);
  }

  /** Waits no longer. */
  close(): void {
    this.budget.cancel(this.waiter);
  }
}

const nothing: Bytes = [];

class ReplyLease implements Lease {
  bytes = 0;
  result = nothing;
  private readonly memory: ConnectionMemory;

  constructor(memory: ConnectionMemory) {
    this.memory = memory;
  }

  release(): void {
    const { bytes, result, memory } = this;
    this.result = nothing;
    memory.returnLease(this);
    memory.releaseRead(bytes, result);
  }
}
