/**
 * From a request to its reply. Caller: receive.ts, with requests that passed
 * the rules. Calls: the backend, reply.ts, turn.ts. Owns: the count of what is
 * in progress. Hot: a backend that answers at once is answered from here without
 * a promise or a copy; one that needs time gets a copy of the request.
 */
import type { Backend, Slice, WriteOptions } from '../backend/backend.js';
import { isPromise, type MaybePromise } from '../backend/maybe-promise.js';
import { PartialError } from '../backend/partial-error.js';
import { messageOf } from '../errors.js';
import type { Limits } from '../limits.js';
import { Command, CommandFlag } from '../wire/constants.js';
import { commandName, errorName } from '../wire/names.js';
import type { Request } from '../wire/request.js';
import { shortened } from '../wire/strings.js';
import type { Agreement } from './agreement.js';
import { bytesIn, isBytesOf, wrongData, wrongLength, type Answer } from './answer.js';
import { BlockStatus } from './block-status.js';
import { errorNumberOf } from './errors.js';
import type { ReplyWriter } from './reply.js';
import { Turn } from './turn.js';

const withFua: WriteOptions = Object.freeze({ fua: true });
const withoutFua: WriteOptions = Object.freeze({ fua: false });

export interface DispatchEvents {
  /** What had to wait may go on: a request was answered later, or others have had their turn. */
  settled(): void;
  /** A backend failed a request; the client has its error number. */
  failed(error: unknown, command: string): void;
  /** A backend did something wrong that fails no request. */
  flawed(error: unknown, what: string): void;
  /** A reply that came later could not be told, or only in part: the connection is of no use. */
  broken(error: unknown): void;
}

export class Dispatcher {
  /** The transport asked to wait for 'drain'. */
  congested = false;
  readonly blockStatus: BlockStatus;
  private requestsInFlight = 0;
  private bytesInFlight = 0;
  private closed = false;
  private becameIdle: (() => void) | undefined;
  private readonly turn: Turn;
  private readonly slice: Slice = { memory: new Uint8Array(0), start: 0 };
  private readonly backend: Backend;
  private readonly replies: ReplyWriter;
  private readonly limits: Limits;
  private readonly events: DispatchEvents;

  constructor(agreement: Agreement, replies: ReplyWriter, limits: Limits, events: DispatchEvents) {
    this.backend = agreement.export.backend;
    this.blockStatus = new BlockStatus(agreement, limits);
    this.replies = replies;
    this.limits = limits;
    this.events = events;
    this.turn = new Turn(() => {
      events.settled();
    });
  }

  /** True where no further request may be begun: what has come stays unread. */
  get full(): boolean {
    return (
      this.congested ||
      this.turn.over ||
      this.requestsInFlight >= this.limits.requestsInFlightMax ||
      this.bytesInFlight >= this.limits.bytesInFlightMax
    );
  }

  get idle(): boolean {
    return this.requestsInFlight === 0;
  }

  /** Settles when every request in progress has been answered by the backend. */
  whenIdle(): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => {
      this.becameIdle = resolve;
    });
  }

  /** No reply is sent any more. */
  close(): void {
    this.closed = true;
    this.turn.close();
  }

  /** A read brought something. */
  received(): void {
    this.turn.received();
  }

  /** `data` is the payload of a write or of a filtered BLOCK_STATUS, else empty. */
  execute(request: Request, data: Uint8Array): void {
    if (request.type === Command.read || request.type === Command.write) {
      this.perform(request, data);
      return;
    }
    const startedMs = this.turn.begin();
    this.perform(request, data);
    this.turn.worked(startedMs);
  }

  /** The request is refused, or failed. */
  refuse(request: Request, error: number, text: string): void {
    this.sent(this.replies.error(request, error, shortened(text)));
  }

  /** The backend's `writeTarget` threw: the client notices nothing of it. */
  targetFailed(error: unknown): void {
    this.events.flawed(error, 'writeTarget() failed, and the payload is received elsewhere');
  }

  private perform(request: Request, data: Uint8Array): void {
    let answer: MaybePromise<Answer>;
    try {
      if (request.type === Command.read && this.readSlice(request)) return;
      answer = this.start(request, data);
    } catch (error) {
      this.fail(request, error);
      return;
    }
    if (answer === undefined || answer instanceof Uint8Array || !isPromise(answer)) {
      if (request.type === Command.read) this.turn.gave(request.length);
      this.answer(request, answer);
    } else {
      this.wait(request.copy(), answer);
    }
  }

  private start(request: Request, data: Uint8Array): MaybePromise<Answer> {
    const { backend } = this;
    const { offset, length } = request;
    if (request.type === Command.read) {
      return length === 0 ? undefined : backend.read(offset, length);
    }
    if (request.type === Command.flush) return backend.flush?.();
    if (request.type === Command.resize) return this.resize(request);
    if (request.type === Command.blockStatus) return this.blockStatus.answer(request, data);
    if (length === 0) return undefined;
    if (request.type === Command.cache) return backend.cache?.(offset, length);
    const fua = (request.flags & CommandFlag.fua) !== 0;
    const result = this.mutate(request, data, fua);
    return fua && backend.fua !== true ? this.flushAfter(result) : result;
  }

  /** A read of what lies in one place in memory: nothing is allocated for it. */
  private readSlice(request: Request): boolean {
    const { backend, slice } = this;
    if (backend.readSlice === undefined || request.length === 0) return false;
    if (!backend.readSlice(request.offset, request.length, slice)) return false;
    const got = slice.memory.length - slice.start;
    if (!(slice.start >= 0 && got >= request.length)) throw wrongLength(got, request.length);
    this.turn.gave(request.length);
    this.sent(this.replies.slice(request, slice));
    return true;
  }

  private mutate(request: Request, data: Uint8Array, fua: boolean): MaybePromise<void> {
    const { backend } = this;
    const { offset, length, flags } = request;
    if (request.type === Command.write) {
      return backend.write?.(offset, data, fua ? withFua : withoutFua);
    }
    if (request.type === Command.trim) {
      return backend.trim?.(offset, length, fua ? withFua : withoutFua);
    }
    return backend.writeZeroes?.(offset, length, {
      fua,
      noHole: (flags & CommandFlag.noHole) !== 0,
      fast: (flags & CommandFlag.fastZero) !== 0,
    });
  }

  private resize({ offset, flags }: Request): MaybePromise<void> {
    const result = this.backend.resize?.(offset);
    return (flags & CommandFlag.fua) === 0 ? result : this.flushAfter(result);
  }

  private flushAfter(result: MaybePromise<void>): MaybePromise<void> {
    if (!isPromise(result)) return this.backend.flush?.();
    return Promise.resolve(result).then(() => this.backend.flush?.());
  }

  private answer(request: Request, answer: Answer): void {
    if (this.closed) return;
    const { length } = request;
    if (request.type === Command.blockStatus && Array.isArray(answer)) {
      this.sent(this.replies.status(request, answer));
      return;
    }
    if (request.type !== Command.read || length === 0) {
      this.sent(this.replies.done(request));
      return;
    }
    if (!isBytesOf(answer, length)) {
      this.fail(request, wrongLength(bytesIn(answer), length));
      return;
    }
    this.sent(this.replies.data(request, answer));
  }

  private wait(request: Request, answer: Promise<Answer>): void {
    const bytes = this.payloadBytes(request);
    this.requestsInFlight++;
    this.bytesInFlight += bytes;
    const conclude = (reply: () => void): void => {
      try {
        reply();
      } catch (error) {
        this.events.broken(error);
      } finally {
        this.settle(bytes);
      }
    };
    // What only looks like a promise may throw, or settle twice.
    Promise.resolve(answer).then(
      (value) => conclude(() => this.answer(request, value)),
      (reason: unknown) => conclude(() => this.fail(request, reason)),
    );
  }

  /** A reply was given to the transport, which took it whether it is `writable` or not. */
  private sent(writable: boolean): void {
    if (!writable) this.congested = true;
  }

  /** A request is in progress no more, with so many bytes of payload. */
  private settle(bytes: number): void {
    this.requestsInFlight--;
    this.bytesInFlight -= bytes;
    this.events.settled();
    if (this.requestsInFlight === 0) this.becameIdle?.();
  }

  /** What a request in progress has in memory, or its reply will have. */
  private payloadBytes(request: Request): number {
    const { type, length } = request;
    if (type === Command.blockStatus) return this.blockStatus.replyBytesMax(request);
    return type === Command.read || type === Command.write ? length : 0;
  }

  private fail(request: Request, error: unknown): void {
    this.events.failed(error, commandName(request.type));
    if (this.closed) return;
    const number = errorNumberOf(error, (request.flags & CommandFlag.fastZero) !== 0);
    const text = `${errorName(number)}: ${messageOf(error)}`;
    if (error instanceof PartialError && isInside(error.failedAt, request)) {
      this.failPartly(request, error, number, text);
    } else {
      this.refuse(request, number, text);
    }
  }

  /** What was read before is sent, if it is what the error says. */
  private failPartly(request: Request, error: PartialError, number: number, text: string): void {
    const done = error.failedAt - request.offset;
    const { data } = error;
    const isRead = request.type === Command.read;
    const hasData = isRead && isBytesOf(data, done);
    if (isRead && data !== undefined && !hasData) {
      this.events.flawed(wrongData(bytesIn(data), done), 'a PartialError is wrong');
    }
    const failure = { number, text: shortened(text), at: error.failedAt };
    this.sent(this.replies.partial(request, hasData ? data : undefined, failure));
  }
}

function isInside(position: number, { offset, length }: Request): boolean {
  return position >= offset && position < offset + length;
}
