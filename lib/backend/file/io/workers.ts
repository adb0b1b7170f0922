/**
 * Threads of one disk, which do the file work that may wait for a device. A
 * disk that hangs keeps its own threads, and those of no other disk.
 *
 * Operations that are submitted in one microtask are handed over in one call, and
 * what has finished since the last wake comes back in one call.
 */
import type { NativeAddon, WorkersHandle } from '../../../native/addon.js';

/** The part of the addon that workers need. */
export type WorkersNative = Pick<
  NativeAddon,
  'createWorkers' | 'submitWork' | 'addWorker' | 'closeWorkers'
>;

/** The kinds of operations, as native/operations.h numbers them. */
export const operationKind = {
  read: 0,
  write: 1,
  sync: 2,
  allocate: 3,
  findData: 4,
  truncate: 5,
  size: 6,
  close: 7,
  lock: 8,
  unlock: 9,
  isLocked: 10,
  uncache: 11,
} as const;
export type OperationKind = (typeof operationKind)[keyof typeof operationKind];

/** As native/operations.h numbers them. */
export const operationMode = {
  normal: 0,
  /** Of `read` and `write`: the descriptor is open with O_DIRECT. */
  direct: 1,
  /** Of `uncache`: write the range to the device first, and wait for it. */
  writeBack: 1,
} as const;

/** What an operation works on; members that its kind does not use are 0. */
export interface Operation {
  readonly kind: OperationKind;
  readonly fd: number;
  /** Where in the file it begins; of `truncate` the new size, of locks the byte. */
  readonly position: number;
  readonly length: number;
  /** Of `allocate` flags of fallocate(2), of the others one of `operationMode`. */
  readonly mode: number;
  /**
   * Of `read`, `write` and `findData`: as many bytes as `length`, or more. Nothing
   * else may use them until the operation has ended.
   */
  readonly memory: Uint8Array | undefined;
}

/** An operation that is told how it ended. */
export interface PendingOperation extends Operation {
  /**
   * `value` is a count or 0, or `-errno`; `done` the bytes that were read or
   * written before an error. Must not throw.
   */
  ended(value: number, done: number): void;
}

/** How an operation ended: the arguments of `PendingOperation.ended`. */
export interface Outcome {
  readonly value: number;
  readonly done: number;
}

export const threadsMaxDefault = 8;
const numbersPerOperation = 7;
const numbersPerResult = 3;
const resultsMax = 64;
/** Time between checks whether an operation keeps others waiting. */
const checkIntervalMs = 2;

export class Workers {
  private readonly native: WorkersNative;
  private readonly handle: WorkersHandle;
  private readonly results = new Float64Array(resultsMax * numbersPerResult);
  /** By ticket. They keep the memory that they work on. */
  private readonly operations: (PendingOperation | undefined)[] = [];
  private readonly freeTickets: number[] = [];
  private numbers = new Float64Array(16 * numbersPerOperation);
  private buffers: Uint8Array[] = [];
  private queued = 0;
  private inProgress = 0;
  private finished = 0;
  private finishedAtCheck = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly submitQueued = (): void => {
    this.submit();
  };

  constructor(native: WorkersNative, threadsMax = threadsMaxDefault) {
    this.native = native;
    this.handle = native.createWorkers(threadsMax, this.results, (count) => {
      this.deliver(count);
    });
  }

  /** Never rejects: an error is an outcome. */
  run({ kind, fd, position, length, mode, memory }: Operation): Promise<Outcome> {
    return new Promise((resolve) => {
      const ended = (value: number, done: number): void => {
        resolve({ value, done });
      };
      this.add({ kind, fd, position, length, mode, memory, ended });
    });
  }

  /** Operations that are added in one microtask are handed over together. */
  add(operation: PendingOperation): void {
    const ticket = this.freeTickets.pop() ?? this.operations.length;
    this.operations[ticket] = operation;
    const { memory } = operation;
    let at = this.queued * numbersPerOperation;
    if (at === this.numbers.length) this.grow();
    const { numbers } = this;
    numbers[at++] = operation.kind;
    numbers[at++] = ticket;
    numbers[at++] = operation.fd;
    numbers[at++] = operation.position;
    numbers[at++] = operation.length;
    numbers[at++] = operation.mode;
    numbers[at] = memory === undefined ? -1 : this.buffers.push(memory) - 1;
    if (this.queued++ === 0) queueMicrotask(this.submitQueued);
    if (this.inProgress++ === 0) this.watch();
  }

  /** No operation may be in progress. */
  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.native.closeWorkers(this.handle);
  }

  private submit(): void {
    const count = this.queued;
    const { buffers, numbers } = this;
    this.queued = 0;
    this.buffers = [];
    const result = this.native.submitWork(this.handle, numbers, count, buffers);
    if (result >= 0) return;
    for (let index = 0; index < count; index++) {
      this.settle(numbers[index * numbersPerOperation + 1] ?? 0, result, 0);
    }
  }

  private deliver(count: number): void {
    const { results } = this;
    this.finished += count;
    // Operations that are added meanwhile are submitted later: nothing overwrites the results.
    for (let at = 0; at < count * numbersPerResult; at += numbersPerResult) {
      this.settle(results[at] ?? 0, results[at + 1] ?? 0, results[at + 2] ?? 0);
    }
  }

  private settle(ticket: number, value: number, done: number): void {
    const operation = this.operations[ticket];
    this.operations[ticket] = undefined;
    this.freeTickets.push(ticket);
    if (--this.inProgress === 0) this.timer?.unref();
    operation?.ended(value, done);
  }

  /** A thread may be in a system call that takes long, with others waiting behind it. */
  private watch(): void {
    if (this.timer !== undefined) {
      this.timer.ref();
      return;
    }
    this.timer = setInterval(() => {
      if (this.inProgress === 0) {
        clearInterval(this.timer);
        this.timer = undefined;
      } else if (this.finished === this.finishedAtCheck) {
        this.native.addWorker(this.handle);
      }
      this.finishedAtCheck = this.finished;
    }, checkIntervalMs);
  }

  private grow(): void {
    const longer = new Float64Array(this.numbers.length * 2);
    longer.set(this.numbers);
    this.numbers = longer;
  }
}
