/**
 * Passes what a client sends to the negotiation, and to the session once there is
 * one. Owns the memory that reads fill, and whether reading is paused. Hot: a read
 * allocates nothing, except from streams that produce chunks of their own.
 */
import type { Readable } from 'node:stream';
import type { ByteQueue } from '../handshake/byte-queue.js';
import type { ReadInto } from '../sockets/handle.js';
import type { Session } from '../transmission/session.js';
import type { BusyPoll } from './busy-poll/busy-poll.js';

/**
 * Shared by all connections of a thread: the bytes of a read are consumed or
 * copied before the next read begins.
 */
const receiveBuffer = new Uint8Array(256 * 1024);
const receiveView = new DataView(receiveBuffer.buffer);

export class Reader {
  /** For sockets that read into given memory. */
  readonly readInto: ReadInto = {
    buffer: () => this.nextBuffer(),
    callback: (count) => this.onRead(count),
  };
  private readonly handshakeBytes: ByteQueue;
  private readonly busyPoll: BusyPoll;
  private session: Session | undefined;
  private stream: Readable | undefined;
  /** The read in progress fills the memory of a payload. */
  private intoPayload = false;
  private paused = false;
  private handlingChunk = false;

  constructor(handshakeBytes: ByteQueue, busyPoll: BusyPoll) {
    this.handshakeBytes = handshakeBytes;
    this.busyPoll = busyPoll;
  }

  /** Reads from this stream: into the memory of `readInto`, or else from its 'data' events. */
  attach(stream: Readable, readsInto: boolean): void {
    this.stream = stream;
    this.paused = false;
    if (!readsInto) stream.on('data', this.onChunk);
  }

  /** Leaves further chunks of the stream to another reader. */
  detach(): void {
    this.stream?.off('data', this.onChunk);
  }

  /** Passes all further bytes to the session, beginning with those of the queue that remain. */
  startSession(session: Session, remaining: Uint8Array): void {
    this.session = session;
    if (remaining.byteLength > 0) this.onChunk(remaining);
    else this.resume();
  }

  pause(): void {
    this.paused = true;
    this.stream?.pause();
  }

  resume(): void {
    const { stream } = this;
    if (!this.paused || stream === undefined || stream.destroyed) return;
    this.paused = false;
    stream.resume();
  }

  /** Memory for the next read. */
  private nextBuffer(): Uint8Array {
    const target = this.session?.payloadTarget();
    this.intoPayload = target !== undefined;
    if (target !== undefined) return target;
    const bytesMax = this.session?.readBytesMax ?? Infinity;
    return bytesMax < receiveBuffer.length ? receiveBuffer.subarray(0, bytesMax) : receiveBuffer;
  }

  /** `count` bytes were read, or decrypted. False stops reading. */
  private onRead(count: number): boolean {
    const { busyPoll, session } = this;
    busyPoll.readStarted();
    let more: boolean;
    if (session === undefined) more = this.handshakeBytes.push(receiveBuffer.subarray(0, count));
    else if (this.intoPayload) more = session.payloadReceived(count);
    else more = session.receive(receiveBuffer, receiveView, 0, count);
    this.paused = !more;
    busyPoll.readEnded();
    return more;
  }

  private readonly onChunk = (chunk: Uint8Array): void => {
    if (this.handlingChunk) {
      // A Duplex whose other end answers within our write: its chunk has to wait.
      this.pause();
      this.stream?.unshift(chunk);
      return;
    }
    this.handlingChunk = true;
    const more = this.receiveChunk(chunk);
    this.handlingChunk = false;
    if (more) this.resume();
    else this.pause();
  };

  private receiveChunk({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
    // Not a Buffer, whose `slice` does not copy.
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    if (this.session === undefined) return this.handshakeBytes.push(bytes);
    const view = new DataView(buffer, byteOffset, byteLength);
    return this.session.receive(bytes, view, 0, byteLength);
  }
}
