/**
 * From bytes to requests: every byte of the transmission phase passes this loop.
 * All that one read delivered is parsed at once, without a copy unless the backend
 * needs one. Owns the state between two reads: an incomplete header, or the
 * payload that is arriving.
 */
import type { Backend } from '../backend/backend.js';
import { isAllocationFailure, NbdError } from '../errors.js';
import { Command, CommandFlag } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import { extendedRequestHeaderBytes, Request, requestHeaderBytes } from '../wire/request.js';
import type { Agreement } from './agreement.js';
import { RequestChecker } from './checks/check.js';
import { notAdmitted, type ConnectionMemory } from './memory/connection-memory.js';
import type { Dispatcher, RequestEvents } from './dispatch.js';
import { Payload, type BytesAvailable } from './memory/payload.js';
import { formatInteger, refusals, refusalText, type Refusal } from './checks/refusals.js';

/** `waiting`: for memory, with the header in `request`. */
const State = { header: 0, payload: 1, skip: 2, ended: 3, waiting: 4 } as const;
type State = (typeof State)[keyof typeof State];

/**
 * "Any payload not exceeding 2^25 bytes SHOULD NOT be considered a denial of
 * service attack, even if that length is larger than the advertised maximum".
 */
const skippedPayloadBytesMax = 2 ** 25;

/** More than the bytes of a header. */
export const arrivalMarkUnit = 64;

/** Copying the beginning of a payload that is at least so long costs more than another read. */
const largePayloadBytesMin = 512 * 1024;

const noData: Uint8Array = new Uint8Array(0);

export class Receiver {
  private state: State = State.header;
  private readonly request = new Request();
  private readonly checker: RequestChecker;
  private readonly backend: Backend;
  private readonly dispatcher: Dispatcher;
  private readonly events: RequestEvents;
  private readonly memory: ConnectionMemory;
  private readonly extended: boolean;
  private readonly headerBytes: number;
  private readonly payloadBytesMax: number;
  /** The beginning of a header that has not arrived completely. */
  private readonly partialHeader = new Uint8Array(extendedRequestHeaderBytes);
  private readonly partialView = new DataView(this.partialHeader.buffer);
  private partialBytes = 0;
  private readonly payload: Payload;
  /** The memory that was taken for the payload, and its bytes of the budget. */
  private buffer: Uint8Array | undefined;
  private charged = 0;
  private arrivedBytes = 0;
  private largePayloadEnded = false;
  /** Bytes left of a refused request's payload. The refusal is kept: until then, the bounds may change. */
  private skipBytes = 0;
  private skipError = 0;
  private skipText = '';
  private skipAwaited = false;
  /** Requests that begin now were sent after `stop`: nobody waits for the rest of them. */
  sentAfterStop = false;

  constructor(
    agreement: Agreement,
    dispatcher: Dispatcher,
    events: RequestEvents,
    memory: ConnectionMemory,
    bytesAvailable: BytesAvailable | undefined,
  ) {
    this.payload = new Payload(agreement.blockSize.minimum, bytesAvailable);
    this.checker = new RequestChecker(agreement);
    this.backend = agreement.export.backend;
    this.dispatcher = dispatcher;
    this.events = events;
    this.memory = memory;
    this.extended = agreement.headers === HeaderKind.extended;
    this.headerBytes = this.extended ? extendedRequestHeaderBytes : requestHeaderBytes;
    this.payloadBytesMax = Math.max(agreement.blockSize.maximum, skippedPayloadBytesMax);
  }

  /** Refuse every request that begins from now on. */
  stop(): void {
    this.checker.stop();
  }

  /** The payload of a request that was sent before `stop` is still arriving. */
  get inPayload(): boolean {
    if (this.state === State.skip) return this.skipAwaited;
    return this.state === State.payload;
  }

  /** A request waits for memory: nothing may be read until `memoryGranted`. */
  get waiting(): boolean {
    return this.state === State.waiting;
  }

  /** Bytes of payloads that have arrived; undefined unless one that takes memory is arriving. */
  get payloadProgress(): number | undefined {
    return this.state === State.payload && this.charged > 0 ? this.arrivedBytes : undefined;
  }

  /** Grows with the bytes that arrive of a request until it is complete. */
  get arrivalMark(): number {
    const inPayload = this.state === State.payload || this.state === State.skip;
    const ofHeader = inPayload ? extendedRequestHeaderBytes : this.partialBytes;
    return this.arrivedBytes * arrivalMarkUnit + ofHeader;
  }

  /** The request that waits continues: `bytes` were charged for it. */
  memoryGranted(bytes: number): void {
    this.state = State.header;
    this.charged = bytes;
    if (this.request.type !== Command.read) {
      this.startInBuffer();
    } else if (this.checker.stillFits(this.request)) {
      this.executeRead();
    } else {
      this.memory.release(this.takeCharged());
      this.refuse(refusals.pastEnd);
    }
  }

  /** Gives back what it has taken for a payload. No further bytes arrive. */
  close(): void {
    const { buffer } = this;
    this.buffer = undefined;
    this.state = State.ended;
    this.memory.release(this.takeCharged());
    if (buffer !== undefined) this.memory.releasePayload(buffer);
  }

  /** The client has sent NBD_CMD_DISC, or the stream has lost its framing. */
  get ended(): boolean {
    return this.state === State.ended;
  }

  /**
   * Process the bytes from `start` to `end`. Returns the position reached, which is
   * before `end` only if the dispatcher is full or the client has disconnected.
   * @throws NbdError when the stream has lost its framing: the connection must be closed.
   */
  receive(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (this.state === State.header) {
        if (this.dispatcher.full) return at;
        at = this.receiveHeader(bytes, view, at, end);
      } else if (this.state === State.payload) {
        at = this.receivePayload(bytes, at, end);
      } else if (this.state === State.skip) {
        at = this.skipPayload(at, end);
      } else {
        return at;
      }
    }
    return at;
  }

  /** Memory for the next read to fill, instead of the common receive buffer. */
  payloadTarget(): Uint8Array | undefined {
    return this.state === State.payload ? this.payload.target() : undefined;
  }

  /**
   * The longest read that makes sense now. After a large payload the next one is
   * likely to follow: a read of its header alone leaves the payload to reads into
   * its own memory.
   */
  get readBytesMax(): number {
    const expectsHeader = this.largePayloadEnded && this.state === State.header;
    return expectsHeader ? this.headerBytes - this.partialBytes : Infinity;
  }

  /** `count` bytes were read into the `payloadTarget`. */
  payloadReceived(count: number): void {
    this.payload.received(count);
    this.arrivedBytes += count;
    if (this.payload.complete) this.finishPayload();
  }

  private receiveHeader(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const { headerBytes } = this;
    if (this.partialBytes === 0 && end - at >= headerBytes) {
      this.readHeader(view, at);
      return this.startRequest(bytes, at + headerBytes, end);
    }
    const count = Math.min(headerBytes - this.partialBytes, end - at);
    this.partialHeader.set(bytes.subarray(at, at + count), this.partialBytes);
    this.partialBytes += count;
    if (this.partialBytes < headerBytes) return end;
    this.partialBytes = 0;
    this.readHeader(this.partialView, 0);
    return this.startRequest(bytes, at + count, end);
  }

  private readHeader(view: DataView, at: number): void {
    const { request } = this;
    const hasMagic = this.extended ? request.readExtended(view, at) : request.read(view, at);
    if (!hasMagic) {
      throw this.end('NBDCORK_BAD_MAGIC', 'A request does not begin with its magic number.');
    }
  }

  /** The header has arrived; `at` is where its payload begins. Returns where the next item does. */
  private startRequest(bytes: Uint8Array, at: number, end: number): number {
    const { request, dispatcher } = this;
    this.largePayloadEnded = false;
    const refusal = this.checker.check(request);
    const hasPayload = this.hasPayload(request);
    if (refusal !== undefined) {
      if (hasPayload) this.startSkip(refusal);
      else this.refuse(refusal);
    } else if (request.type === Command.disconnect) {
      this.state = State.ended;
    } else if (request.type === Command.read && !hasPayload) {
      this.executeRead();
    } else if (!hasPayload || request.length === 0) {
      dispatcher.execute(request, noData);
    } else if (end - at >= request.length) {
      const next = at + request.length;
      const data = bytes.subarray(at, next);
      if (request.type === Command.blockStatus) this.executeBlockStatus(data);
      else if (this.backend.payloadLifetime === 'call') dispatcher.execute(request, data);
      else if (!this.acquire()) return at;
      else this.executeCopied(data);
      return next;
    } else {
      this.startPayload();
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

  private executeRead(): void {
    const charged = this.takeCharged();
    if (!this.dispatcher.execute(this.request, noData, charged)) this.state = State.waiting;
  }

  private executeCopied(data: Uint8Array): void {
    const charged = this.takeCharged();
    let copy: Uint8Array;
    try {
      copy = this.memory.takePayload(data.length);
    } catch (error) {
      this.memory.release(charged);
      this.noteAllocationFailure(error);
      this.refuse(refusals.noMemory);
      return;
    }
    copy.set(data);
    this.dispatcher.execute(this.request, copy, charged, copy);
  }

  /** Charges the payload to the budget. False where the request has to wait. */
  private acquire(): boolean {
    const charged = this.memory.acquire(this.request.length, this.dispatcher.alone);
    if (charged === notAdmitted) this.state = State.waiting;
    else this.charged = charged;
    return charged !== notAdmitted;
  }

  private takeCharged(): number {
    const { charged } = this;
    this.charged = 0;
    return charged;
  }

  private startPayload(): void {
    if (this.request.type === Command.write && this.startInPlace()) this.state = State.payload;
    else if (this.acquire()) this.startInBuffer();
  }

  private startInBuffer(): void {
    try {
      this.buffer = this.memory.takePayload(this.request.length);
    } catch (error) {
      this.memory.release(this.takeCharged());
      this.noteAllocationFailure(error);
      this.startSkip(refusals.noMemory);
      return;
    }
    this.payload.start(this.buffer);
    this.state = State.payload;
  }

  private startInPlace(): boolean {
    const { offset, length } = this.request;
    try {
      const target = this.backend.writeTarget?.(offset, length);
      if (target?.length !== length) return false;
      this.payload.startInPlace(target, offset);
      return true;
    } catch (error) {
      // The payload must be consumed in any case, and `write` may still succeed.
      this.events.backendWarning(error, 'writeTarget() failed, using another buffer');
      return false;
    }
  }

  /** Memory may be free again for the next request. Any other error is thrown again. */
  private noteAllocationFailure(error: unknown): void {
    if (!isAllocationFailure(error)) throw error;
    this.events.requestFailed(error, this.request);
  }

  private receivePayload(bytes: Uint8Array, at: number, end: number): number {
    const next = this.payload.receive(bytes, at, end);
    this.arrivedBytes += next - at;
    if (this.payload.complete) this.finishPayload();
    return next;
  }

  private finishPayload(): void {
    const data = this.payload.take();
    const { buffer } = this;
    const charged = this.takeCharged();
    this.buffer = undefined;
    this.state = State.header;
    this.largePayloadEnded = data.length >= largePayloadBytesMin;
    if (this.request.type === Command.write && this.checker.stillFits(this.request)) {
      this.dispatcher.execute(this.request, data, charged, buffer);
      return;
    }
    if (this.request.type === Command.blockStatus) this.executeBlockStatus(data);
    else this.refuse(refusals.noSpace);
    this.memory.release(charged);
    if (buffer !== undefined) this.memory.releasePayload(buffer);
  }

  /** A BLOCK_STATUS whose payload, the effect length and the contexts, has arrived. */
  private executeBlockStatus(payload: Uint8Array): void {
    const { request, dispatcher } = this;
    if (!dispatcher.blockStatus.readContextList(request, payload)) {
      this.refuse(refusals.badContextList);
      return;
    }
    // From here on, `length` is the effect length, as in a request without a payload.
    request.flags &= ~CommandFlag.payloadLength;
    const refusal = this.checker.check(request);
    if (refusal === undefined) dispatcher.execute(request, payload);
    else this.refuse(refusal);
  }

  private startSkip(refusal: Refusal): void {
    const { length } = this.request;
    if (length > this.payloadBytesMax) {
      this.refuse(refusal);
      throw this.end(
        'NBDCORK_PAYLOAD_TOO_LONG',
        `A payload of ${formatInteger(length)} bytes exceeds the maximum of ${this.payloadBytesMax} bytes.`,
      );
    }
    this.skipError = refusal.error;
    this.skipText = refusalText(refusal, this.request, this.checker);
    this.skipBytes = length;
    this.skipAwaited = !this.sentAfterStop;
    this.state = State.skip;
    if (length === 0) this.skipPayload(0, 0);
  }

  /** "Gracefully consume length bytes of payload", then reply with the error. */
  private skipPayload(at: number, end: number): number {
    const count = Math.min(this.skipBytes, end - at);
    this.skipBytes -= count;
    this.arrivedBytes += count;
    if (this.skipBytes === 0) {
      this.state = State.header;
      this.dispatcher.refuse(this.request, this.skipError, this.skipText);
    }
    return at + count;
  }

  private refuse(refusal: Refusal): void {
    const { request, checker, dispatcher } = this;
    dispatcher.refuse(request, refusal.error, refusalText(refusal, request, checker));
  }

  private end(code: string, message: string): NbdError {
    this.state = State.ended;
    return new NbdError(code, message);
  }
}
