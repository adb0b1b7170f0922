/**
 * From a valid request to its reply: calls the backend. Requests that the backend
 * answers at once get their reply without a promise, a closure or a copy; for the
 * others, the request is copied and counted as in flight.
 */
import type { Backend, Slice, WriteOptions } from '../backend/backend.js';
import { isPromise, type MaybePromise } from '../backend/maybe-promise.js';
import { Pending } from '../backend/pending.js';
import { PartialError } from '../backend/partial-error.js';
import { messageOf, NbdError } from '../errors.js';
import type { Limits } from '../limits.js';
import { Command, CommandFlag } from '../wire/constants.js';
import { commandName, errorName } from '../wire/names.js';
import type { Request } from '../wire/request.js';
import { shortened } from '../wire/strings.js';
import type { Agreement } from './agreement.js';
import { BlockStatus } from './block-status.js';
import { InFlight, type Answers } from './in-flight.js';
import { notAdmitted, type ConnectionMemory } from './memory/connection-memory.js';
import type { ReplyWriter } from './reply.js';
import {
  byteLengthOf,
  errorNumberOf,
  namesFile,
  isBytesOfLength,
  wrongLength,
  wrongPartialData,
  type Result,
} from './result.js';
import { TimeSlice, type Defer } from './time-slice.js';

const withFua: WriteOptions = Object.freeze({ fua: true });
const withoutFua: WriteOptions = Object.freeze({ fua: false });

const noData: Uint8Array = new Uint8Array(0);

export interface RequestEvents {
  /** A backend failed a request; the client gets the error. Do not keep `request`, it is reused. */
  requestFailed(error: unknown, request: FailedRequest): void;
  /** A backend violated its contract in a way that fails no request. */
  backendWarning(error: unknown, what: string): void;
  /** The client or a backend violated its contract beyond repair: flush, then close the connection. */
  sessionFailed(error: unknown): void;
}

/** The fields that describe a request in logs. */
export type FailedRequest = Readonly<Pick<Request, 'type' | 'offset' | 'length'>>;

export class Dispatcher implements Answers {
  /** The sender has asked to wait until it has drained. */
  congested = false;
  readonly blockStatus: BlockStatus;
  private requestsInFlight = 0;
  private bytesInFlight = 0;
  private closed = false;
  private becameIdle: (() => void) | undefined;
  private readonly timeSlice: TimeSlice;
  private readonly slice: Slice;
  private readonly backend: Backend;
  private readonly replies: ReplyWriter;
  private readonly memory: ConnectionMemory;
  private readonly limits: Limits;
  private readonly events: RequestEvents;
  private readonly continueRequests: () => void;

  /** `continueRequests` is called when a request was answered later, or a time slice began. */
  constructor(
    agreement: Agreement,
    replies: ReplyWriter,
    memory: ConnectionMemory,
    limits: Limits,
    events: RequestEvents,
    defer: Defer,
    continueRequests: () => void,
  ) {
    this.backend = agreement.export.backend;
    this.blockStatus = new BlockStatus(agreement, limits);
    this.replies = replies;
    this.slice = {
      memory: noData,
      start: 0,
      acceptsMapping: replies.sendsMappings,
      mapped: undefined,
    };
    this.memory = memory;
    this.limits = limits;
    this.events = events;
    this.continueRequests = continueRequests;
    this.timeSlice = new TimeSlice(defer, continueRequests);
  }

  /** True when no further request may start: the bytes that follow have to wait. */
  get full(): boolean {
    return (
      this.congested ||
      this.timeSlice.exhausted ||
      this.requestsInFlight >= this.limits.requestsInFlightMax ||
      this.bytesInFlight >= this.limits.bytesInFlightMax
    );
  }

  get idle(): boolean {
    return this.requestsInFlight === 0;
  }

  /** Settles when the backend has answered every request in flight. */
  whenIdle(): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => {
      this.becameIdle = resolve;
    });
  }

  /** Send no more replies. */
  close(): void {
    this.closed = true;
    this.timeSlice.close();
  }

  /** A read has delivered requests, which `execute` gets next. */
  startBatch(): void {
    this.timeSlice.resetBytes();
  }

  /** No other request of the connection holds memory. */
  get alone(): boolean {
    return this.requestsInFlight === 0 && !this.congested;
  }

  /**
   * `data` is the payload of a WRITE or of a BLOCK_STATUS, otherwise empty.
   * `buffer` is the memory of the payload where it was taken for this request, and
   * `charged` its bytes of the budget, or those that were granted for a READ.
   * Returns false for a READ that has to wait for memory: execute it again then.
   */
  execute(request: Request, data: Uint8Array, charged = 0, buffer?: Uint8Array): boolean {
    if (request.type === Command.read) return this.read(request, charged);
    if (request.type === Command.write) {
      this.run(request, data, charged, buffer);
      return true;
    }
    const startedMs = this.timeSlice.start();
    this.run(request, data, 0, undefined);
    this.timeSlice.chargeTime(startedMs);
    return true;
  }

  /** Reply with an error; `text` is for people. */
  refuse(request: Request, error: number, text: string): void {
    this.noteCongestion(this.replies.error(request, error, shortened(text)));
  }

  private read(request: Request, granted: number): boolean {
    try {
      if (this.readSlice(request)) {
        this.memory.release(granted);
        this.timeSlice.chargeBytes(request.length);
        this.noteCongestion(this.replies.slice(request, this.slice));
        return true;
      }
    } catch (error) {
      this.memory.release(granted);
      this.fail(request, error);
      return true;
    }
    let charged = granted;
    if (charged === 0) charged = this.memory.acquireRead(request.length, this.alone);
    if (charged === notAdmitted) return false;
    this.run(request, noData, charged, undefined);
    return true;
  }

  private run(
    request: Request,
    data: Uint8Array,
    charged: number,
    buffer: Uint8Array | undefined,
  ): void {
    let result: MaybePromise<Result>;
    try {
      result = this.callBackend(request, data);
    } catch (error) {
      this.fail(request, error);
      this.releaseMemory(charged, buffer);
      return;
    }
    if (result === undefined || result instanceof Uint8Array || !isPromise(result)) {
      if (request.type === Command.read) this.timeSlice.chargeBytes(request.length);
      if (!this.reply(request, result, charged)) this.releaseMemory(charged, buffer);
    } else {
      this.awaitResult(request, result, charged, buffer);
    }
  }

  private releaseMemory(charged: number, buffer: Uint8Array | undefined): void {
    this.memory.release(charged);
    if (buffer !== undefined) this.memory.releasePayload(buffer);
  }

  /**
   * Whether the range lies in one place in memory, which is in `slice` then: such
   * a READ is answered without allocating anything.
   */
  private readSlice({ offset, length }: Request): boolean {
    const { backend, slice } = this;
    if (backend.readSlice === undefined || length === 0) return false;
    if (!backend.readSlice(offset, length, slice)) return false;
    if (slice.mapped !== undefined) return true;
    const available = slice.memory.length - slice.start;
    if (!(slice.start >= 0 && available >= length)) throw wrongLength(available, length);
    return true;
  }

  private callBackend(request: Request, data: Uint8Array): MaybePromise<Result> {
    const { backend } = this;
    const { type, flags, offset, length } = request;
    // An empty range succeeds without the backend. FLUSH and RESIZE have no range.
    if (length === 0 && type !== Command.flush && type !== Command.resize) return undefined;
    const fua = (flags & CommandFlag.fua) !== 0;
    let result: MaybePromise<void>;
    switch (type) {
      case Command.read:
        return backend.read(offset, length);
      case Command.flush:
        return backend.flush?.();
      case Command.cache:
        return backend.cache?.(offset, length);
      case Command.blockStatus:
        return this.blockStatus.query(request, data);
      case Command.resize:
        result = backend.resize?.(offset);
        return fua ? this.flushAfter(result) : result;
      case Command.write:
        result = backend.write?.(offset, data, fua ? withFua : withoutFua);
        break;
      case Command.trim:
        result = backend.trim?.(offset, length, fua ? withFua : withoutFua);
        break;
      case Command.writeZeroes:
        result = backend.writeZeroes?.(offset, length, {
          fua,
          noHole: (flags & CommandFlag.noHole) !== 0,
          fast: (flags & CommandFlag.fastZero) !== 0,
        });
        break;
      default:
        throw new NbdError('EINVAL', `${commandName(type)} is not supported.`);
    }
    return fua && backend.fua !== true ? this.flushAfter(result) : result;
  }

  private flushAfter(result: MaybePromise<void>): MaybePromise<void> {
    if (!isPromise(result)) return this.backend.flush?.();
    return Promise.resolve(result).then(() => this.backend.flush?.());
  }

  /** True where the reply holds what was charged until it has been sent. */
  private reply(request: Request, result: Result, charged: number): boolean {
    const { type, length } = request;
    if (type === Command.read && length > 0) return this.replyData(request, result, charged);
    if (this.closed) return false;
    if (type === Command.blockStatus && Array.isArray(result)) {
      this.noteCongestion(this.replies.status(request, result));
    } else {
      this.noteCongestion(this.replies.done(request));
    }
    return false;
  }

  private replyData(request: Request, result: Result, charged: number): boolean {
    const { length } = request;
    if (isBytesOfLength(result, length)) {
      if (this.closed) {
        this.memory.releaseRead(charged, result);
      } else {
        const lease = this.memory.lease(charged, result);
        this.noteCongestion(this.replies.data(request, result, lease));
      }
      return true;
    }
    this.fail(request, wrongLength(byteLengthOf(result), length));
    return false;
  }

  /** Count the request as in flight until its reply is written. */
  private awaitResult(
    request: Request,
    result: Promise<Result>,
    charged: number,
    buffer: Uint8Array | undefined,
  ): void {
    const inFlight = InFlight.start(request, this);
    inFlight.charged = charged;
    inFlight.buffer = buffer;
    inFlight.bytes = this.payloadBytes(request);
    this.requestsInFlight++;
    this.bytesInFlight += inFlight.bytes;
    if (result instanceof Pending) {
      result.deliverTo(inFlight);
      return;
    }
    // A thenable of the user may settle more than once.
    void Promise.resolve(result).then(
      (value) => {
        inFlight.resolved(value);
      },
      (error: unknown) => {
        inFlight.rejected(error);
      },
    );
  }

  resolved(inFlight: InFlight, result: Result): void {
    let leased = false;
    try {
      leased = this.reply(inFlight.request, result, inFlight.charged);
    } catch (error) {
      this.events.sessionFailed(error);
    }
    this.answered(inFlight, leased);
  }

  rejected(inFlight: InFlight, error: unknown): void {
    try {
      this.fail(inFlight.request, error);
    } catch (failure) {
      this.events.sessionFailed(failure);
    }
    this.answered(inFlight, false);
  }

  private answered(inFlight: InFlight, leased: boolean): void {
    if (!leased) this.releaseMemory(inFlight.charged, inFlight.buffer);
    this.requestsInFlight--;
    this.bytesInFlight -= inFlight.bytes;
    inFlight.end();
    this.continueRequests();
    if (this.requestsInFlight === 0) this.becameIdle?.();
  }

  /** The sender accepts every reply; if `writable` is false, the next request has to wait. */
  private noteCongestion(writable: boolean): void {
    if (!writable) this.congested = true;
  }

  /** Memory that a request in flight holds, or its reply will hold. */
  private payloadBytes(request: Request): number {
    const { type, length } = request;
    if (type === Command.blockStatus) return this.blockStatus.replyBytesMax(request);
    return type === Command.read || type === Command.write ? length : 0;
  }

  private fail(request: Request, error: unknown): void {
    this.events.requestFailed(error, request);
    if (this.closed) return;
    const number = errorNumberOf(error, (request.flags & CommandFlag.fastZero) !== 0);
    const name = errorName(number);
    const text = namesFile(error) ? name : `${name}: ${messageOf(error)}`;
    if (error instanceof PartialError && isInside(error.failedAt, request)) {
      this.failPartly(request, error, number, text);
    } else {
      this.refuse(request, number, text);
    }
  }

  /** Send the data that was read before the failure, if the error has as much as it says. */
  private failPartly(request: Request, error: PartialError, number: number, text: string): void {
    const { data, failedAt } = error;
    const doneBytes = failedAt - request.offset;
    const isRead = request.type === Command.read;
    const hasData = isRead && isBytesOfLength(data, doneBytes);
    if (isRead && data !== undefined && !hasData) {
      const warning = wrongPartialData(byteLengthOf(data), doneBytes);
      this.events.backendWarning(warning, 'invalid PartialError');
    }
    const failure = { number, text: shortened(text), at: failedAt };
    this.noteCongestion(this.replies.partial(request, hasData ? data : undefined, failure));
  }
}

function isInside(position: number, { offset, length }: Request): boolean {
  return position >= offset && position < offset + length;
}
