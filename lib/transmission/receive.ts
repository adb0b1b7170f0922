/**
 * From bytes to requests: the loop that every byte of the transmission phase
 * goes through. Caller: session.ts, with what one read brought. Calls: the
 * rules, dispatch.ts. Owns: the state between two reads, at most one header
 * and the payload that is arriving. Hot: everything that a read brought is
 * parsed in one loop, without a copy where the backend needs none.
 */
import type { Backend } from '../backend/backend.js';
import { NbdError } from '../errors.js';
import { payloadBytesTolerated } from '../limits.js';
import { Command, CommandFlag, ErrorNumber } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import { extendedRequestHeaderBytes, Request, requestHeaderBytes } from '../wire/request.js';
import type { Agreement } from './agreement.js';
import type { Dispatcher } from './dispatch.js';
import { refusals, shown, textOf, type Refusal } from './refusal.js';
import { Rules } from './rules.js';

const State = { header: 0, payload: 1, skip: 2, ended: 3 } as const;
type State = (typeof State)[keyof typeof State];

/** What remains of a payload is received straight into its place from this size on. */
const directBytesMin = 16 * 1024;

const noData: Uint8Array = new Uint8Array(0);

export class Receiver {
  private state: State = State.header;
  private readonly request = new Request();
  private readonly rules: Rules;
  private readonly backend: Backend;
  private readonly dispatcher: Dispatcher;
  private readonly extended: boolean;
  private readonly headerBytes: number;
  private readonly payloadBytesMax: number;
  /** The beginning of a header whose end has not come yet. */
  private readonly partial = new Uint8Array(extendedRequestHeaderBytes);
  private readonly partialView = new DataView(this.partial.buffer);
  private partialBytes = 0;
  /** Where the payload goes that is arriving, and how much of it has come. */
  private payload = noData;
  private payloadBytes = 0;
  /** What is left of a payload that nobody wants, and why: the bounds may change before it ends. */
  private skipBytes = 0;
  private skipError = 0;
  private skipText = '';

  constructor(agreement: Agreement, dispatcher: Dispatcher) {
    this.rules = new Rules(agreement);
    this.backend = agreement.export.backend;
    this.dispatcher = dispatcher;
    this.extended = agreement.headers === HeaderKind.extended;
    this.headerBytes = this.extended ? extendedRequestHeaderBytes : requestHeaderBytes;
    this.payloadBytesMax = Math.max(agreement.blockSize.maximum, payloadBytesTolerated);
  }

  /** Refuse every request that begins from now on. */
  stop(): void {
    this.rules.stop();
  }

  /** A request has begun, before the server stopped, whose payload has not come whole. */
  get inPayload(): boolean {
    if (this.state === State.skip) return this.skipError !== ErrorNumber.ESHUTDOWN;
    return this.state === State.payload;
  }

  /** The client has sent NBD_CMD_DISC, or what cannot be understood. */
  get ended(): boolean {
    return this.state === State.ended;
  }

  /**
   * Take what came, from `at` to `end`. Returns where it stopped: before `end`
   * only where the dispatcher is full or the client has disconnected.
   * @throws NbdError where the stream has lost its framing: close it.
   */
  receive(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    while (at < end) {
      if (this.state === State.header) {
        if (this.dispatcher.full) return at;
        at = this.readHeader(bytes, view, at, end);
      } else if (this.state === State.payload) {
        at = this.readPayload(bytes, at, end);
      } else if (this.state === State.skip) {
        at = this.skip(at, end);
      } else {
        return at;
      }
    }
    return at;
  }

  /** The memory that the next read should fill, where that is not the common buffer. */
  directTarget(): Uint8Array | undefined {
    if (this.state !== State.payload) return undefined;
    if (this.payload.length - this.payloadBytes < directBytesMin) return undefined;
    return this.payload.subarray(this.payloadBytes);
  }

  /** `count` bytes were read into the `directTarget`. */
  received(count: number): void {
    this.payloadBytes += count;
    if (this.payloadBytes === this.payload.length) this.payloadArrived();
  }

  private readHeader(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const { request, headerBytes } = this;
    if (this.partialBytes === 0 && end - at >= headerBytes) {
      const good = this.extended ? request.readExtended(view, at) : request.read(view, at);
      if (!good) this.lostFraming();
      return this.begin(bytes, at + headerBytes, end);
    }
    const count = Math.min(headerBytes - this.partialBytes, end - at);
    this.partial.set(bytes.subarray(at, at + count), this.partialBytes);
    this.partialBytes += count;
    if (this.partialBytes < headerBytes) return end;
    this.partialBytes = 0;
    const good = this.extended
      ? request.readExtended(this.partialView, 0)
      : request.read(this.partialView, 0);
    if (!good) this.lostFraming();
    return this.begin(bytes, at + count, end);
  }

  /** The header is there. Returns where the next thing to read begins. */
  private begin(bytes: Uint8Array, at: number, end: number): number {
    const { request, dispatcher } = this;
    const refusal = this.rules.check(request);
    const hasPayload = this.hasPayload(request);
    if (refusal !== undefined) {
      if (hasPayload) this.beginSkip(refusal);
      else this.refuse(refusal);
    } else if (request.type === Command.disconnect) {
      this.state = State.ended;
    } else if (!hasPayload || request.length === 0) {
      dispatcher.execute(request, noData);
    } else if (end - at >= request.length) {
      const next = at + request.length;
      const data = bytes.subarray(at, next);
      if (request.type === Command.blockStatus) this.filtered(data);
      else dispatcher.execute(request, this.backend.consumesWrites === true ? data : data.slice());
      return next;
    } else {
      this.beginPayload();
    }
    return at;
  }

  /**
   * "The write command always sends a payload". With extended headers the flag
   * "MUST be set" for it, but QEMU's client (10.0) leaves it off.
   */
  private hasPayload({ type, flags }: Request): boolean {
    return type === Command.write || (this.extended && (flags & CommandFlag.payloadLength) !== 0);
  }

  private beginPayload(): void {
    const { offset, length } = this.request;
    this.payload = this.payloadTarget(offset, length);
    this.payloadBytes = 0;
    this.state = State.payload;
  }

  private payloadTarget(offset: number, length: number): Uint8Array {
    // A filter is a few bytes, and nothing to write.
    if (this.request.type !== Command.write) return new Uint8Array(length);
    try {
      const target = this.backend.writeTarget?.(offset, length);
      if (target?.length === length) return target;
    } catch (error) {
      // The payload must be received all the same, and `write` may well succeed.
      this.dispatcher.targetFailed(error);
    }
    return Buffer.allocUnsafeSlow(length);
  }

  private readPayload(bytes: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.payload.length - this.payloadBytes, end - at);
    this.payload.set(bytes.subarray(at, at + count), this.payloadBytes);
    this.received(count);
    return at + count;
  }

  private payloadArrived(): void {
    const data = this.payload;
    this.payload = noData;
    this.state = State.header;
    if (this.request.type === Command.blockStatus) this.filtered(data);
    else if (this.rules.stillFits(this.request)) this.dispatcher.execute(this.request, data);
    else this.refuse(refusals.noSpace);
  }

  /** A BLOCK_STATUS is there with the payload that says what it is about. */
  private filtered(payload: Uint8Array): void {
    const { request, dispatcher } = this;
    if (!dispatcher.blockStatus.readFilter(request, payload)) {
      this.refuse(refusals.badFilter);
      return;
    }
    // From here on it is as any other.
    request.flags &= ~CommandFlag.payloadLength;
    const refusal = this.rules.check(request);
    if (refusal === undefined) dispatcher.execute(request, payload);
    else this.refuse(refusal);
  }

  private beginSkip(refusal: Refusal): void {
    const { length } = this.request;
    if (length > this.payloadBytesMax) {
      this.refuse(refusal);
      throw this.ending(
        'NBDCORK_PAYLOAD_TOO_LONG',
        `A payload of ${shown(length)} bytes is longer than ${this.payloadBytesMax}.`,
      );
    }
    this.skipError = refusal.error;
    this.skipText = textOf(refusal, this.request, this.rules);
    this.skipBytes = length;
    this.state = State.skip;
    if (length === 0) this.skip(0, 0);
  }

  /** "Gracefully consume length bytes of payload", then say what was wrong. */
  private skip(at: number, end: number): number {
    const count = Math.min(this.skipBytes, end - at);
    this.skipBytes -= count;
    if (this.skipBytes === 0) {
      this.state = State.header;
      this.dispatcher.refuse(this.request, this.skipError, this.skipText);
    }
    return at + count;
  }

  private refuse(refusal: Refusal): void {
    const { request, rules, dispatcher } = this;
    dispatcher.refuse(request, refusal.error, textOf(refusal, request, rules));
  }

  private lostFraming(): never {
    throw this.ending('NBDCORK_BAD_MAGIC', 'A request does not begin with its magic number.');
  }

  private ending(code: string, message: string): NbdError {
    this.state = State.ended;
    return new NbdError(code, message);
  }
}
