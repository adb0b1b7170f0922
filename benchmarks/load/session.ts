/**
 * Keeps `depth` requests in flight on a connection: after every read it sends as
 * many requests as replies arrived, together. It uses our own transport, so that
 * the load generator needs little CPU time. Hot path: no allocation a request.
 */
import type { Histogram } from 'hdr-histogram-js';
import type { Transport } from '../../lib/transport/transport.js';
import { Command, CommandFlag, magic } from '../../lib/wire/constants.js';
import { extendedRequestHeaderBytes, requestHeaderBytes } from '../../lib/wire/request.js';
import { writeUint64 } from '../../lib/wire/uint64.js';
import { blockBytes, extentCount } from '../disk.js';
import type { HeaderKind, Kind } from '../results.js';
import { Replies } from './replies.js';
import { RequestMaker } from './requests.js';

const payload = new Uint8Array(blockBytes).fill(0x5a);

/** "Structured reply types": an identifier, then 8 bytes for each extent. */
const statusBytes = 4 + 8 * extentCount;
/** An identifier and a count, then 16 bytes for each extent. */
const extendedStatusBytes = 8 + 16 * extentCount;

export interface SessionPlan {
  readonly kind: Kind;
  readonly depth: number;
  readonly headers: HeaderKind;
  /** Index of the connection, from 0. */
  readonly connection: number;
}

export class Session {
  /** Answered since the run began. */
  requests = 0;
  /** Those of them until the first that was answered after it was to end, and when that was: `performance.now()`. */
  requestsTimed = 0;
  timedUntil = 0;
  private readonly transport: Transport;
  private readonly latency: Histogram;
  private readonly maker: RequestMaker;
  private readonly replies: Replies;
  private readonly extended: boolean;
  private readonly depth: number;
  private readonly types: Uint8Array;
  /** When each request was sent, in milliseconds. */
  private readonly sentAt: Float64Array;
  private now = 0;
  private until = 0;
  private waiting = 0;
  private finished: (() => void) | undefined;

  constructor(transport: Transport, latency: Histogram, plan: SessionPlan) {
    const { kind, depth, headers, connection } = plan;
    this.transport = transport;
    this.latency = latency;
    this.maker = new RequestMaker(kind, connection);
    this.extended = headers === 'extended';
    this.depth = depth;
    this.types = new Uint8Array(depth);
    this.sentAt = new Float64Array(depth);
    const { lengthBytes } = this.maker;
    this.replies = new Replies(headers, this.extended ? extendedStatusBytes : statusBytes, {
      payloadBytesOf: (slot) => (this.types[slot] === Command.read ? lengthBytes : 0),
      answered: (slot) => {
        this.answered(slot);
      },
    });
  }

  /** Settles when the time is over and the last request is answered. */
  run(until: number): Promise<void> {
    this.requests = 0;
    this.requestsTimed = 0;
    this.until = until;
    this.now = performance.now();
    this.timedUntil = 0;
    this.transport.gather();
    for (let slot = 0; slot < this.depth; slot++) this.request(slot);
    this.transport.flush();
    return new Promise((resolve) => {
      this.finished = resolve;
    });
  }

  receive(bytes: Uint8Array, view: DataView, end: number): void {
    this.now = performance.now();
    this.transport.gather();
    this.replies.receive(bytes, view, end);
    this.transport.flush();
    // A part of a reply ends nothing: its time would count, and the request would not.
    if (this.timedUntil < this.until && this.requests > this.requestsTimed) {
      this.requestsTimed = this.requests;
      this.timedUntil = this.now;
    }
    if (this.waiting === 0) this.finished?.();
  }

  private answered(slot: number): void {
    const sentAt = this.sentAt[slot] ?? 0;
    if (slot >= this.depth || sentAt === 0) {
      throw new Error('The server sent a reply with an unknown cookie.');
    }
    this.latency.recordValue(Math.round((this.now - sentAt) * 1e6));
    this.sentAt[slot] = 0;
    this.requests++;
    this.waiting--;
    if (this.now < this.until) this.request(slot);
  }

  /** "Request message"; the lower half of the cookie is the slot. */
  private request(slot: number): void {
    const { transport, maker, extended } = this;
    const { headers } = transport;
    maker.next();
    const { type, lengthBytes } = maker;
    const isWrite = type === Command.write;
    const at = transport.header(extended ? extendedRequestHeaderBytes : requestHeaderBytes);
    headers.setUint32(at, extended ? magic.extendedRequest : magic.request);
    headers.setUint16(at + 4, extended && isWrite ? CommandFlag.payloadLength : 0);
    headers.setUint16(at + 6, type);
    headers.setUint32(at + 8, 0);
    headers.setUint32(at + 12, slot);
    writeUint64(headers, at + 16, type === Command.blockStatus ? 0 : maker.offset);
    if (extended) writeUint64(headers, at + 24, lengthBytes);
    else headers.setUint32(at + 24, lengthBytes);
    if (isWrite) transport.append(payload);
    transport.endMessage();
    this.types[slot] = type;
    this.sentAt[slot] = this.now;
    this.waiting++;
  }
}
