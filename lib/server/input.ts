/**
 * What a client sends: to the handshake, and to the session once
 * there is one. Callers: the stream, with every read; connection.ts, which
 * says when to pause, to read on, and from which stream. Calls:
 * handshake/byte-queue.ts, transmission/session.ts, busy-poll.ts. Owns: the
 * memory that reads fill, and whether reading is paused. Hot: nothing is
 * allocated for a read, but for streams that bring chunks of their own.
 */
import type { Readable } from 'node:stream';
import type { ByteQueue } from '../handshake/byte-queue.js';
import type { Session } from '../transmission/session.js';
import type { BusyPoll } from './busy-poll/busy-poll.js';

/**
 * All connections of a thread read into the same memory: what a read brought
 * is consumed or copied before the next one begins.
 */
const receiveBuffer = new Uint8Array(256 * 1024);
const receiveView = new DataView(receiveBuffer.buffer);

export class Input {
  private readonly handshakeBytes: ByteQueue;
  private readonly busyPoll: BusyPoll;
  private session: Session | undefined;
  private stream: Readable | undefined;
  /** The read in progress goes straight into a payload's place. */
  private direct = false;
  private paused = false;
  private receivingChunk = false;

  constructor(handshakeBytes: ByteQueue, busyPoll: BusyPoll) {
    this.handshakeBytes = handshakeBytes;
    this.busyPoll = busyPoll;
  }

  /** Where the next read goes. */
  nextBuffer(): Uint8Array {
    const target = this.session?.payloadTarget();
    this.direct = target !== undefined;
    return target ?? receiveBuffer;
  }

  /** A read, or a record of TLS, brought `count` bytes. False stops reading. */
  received(count: number): boolean {
    const { busyPoll, session } = this;
    busyPoll.readStarted();
    let more: boolean;
    if (session === undefined) more = this.handshakeBytes.push(receiveBuffer.subarray(0, count));
    else if (this.direct) more = session.payloadReceived(count);
    else more = session.receive(receiveBuffer, receiveView, 0, count);
    this.paused = !more;
    busyPoll.readEnded();
    return more;
  }

  /** Read from this stream: by the methods above, or, where it cannot, by its chunks. */
  readFrom(stream: Readable, readsInto: boolean): void {
    this.stream = stream;
    this.paused = false;
    if (!readsInto) stream.on('data', this.chunkArrived);
  }

  /** The stream's chunks are for somebody else from now on. */
  letGo(): void {
    this.stream?.off('data', this.chunkArrived);
  }

  /** The handshake is over: all that comes is for the session, first what came early. */
  deliverTo(session: Session, early: Uint8Array): void {
    this.session = session;
    if (early.byteLength > 0) this.chunkArrived(early);
    else this.readOn();
  }

  pause(): void {
    this.paused = true;
    this.stream?.pause();
  }

  readOn(): void {
    const { stream } = this;
    if (!this.paused || stream === undefined || stream.destroyed) return;
    this.paused = false;
    stream.resume();
  }

  private readonly chunkArrived = (chunk: Uint8Array): void => {
    if (this.receivingChunk) {
      // The other end of a Duplex may answer while we write to it: that waits its turn.
      this.pause();
      this.stream?.unshift(chunk);
      return;
    }
    this.receivingChunk = true;
    const more = this.receivedChunk(chunk);
    this.receivingChunk = false;
    if (more) this.readOn();
    else this.pause();
  };

  private receivedChunk({ buffer, byteOffset, byteLength }: Uint8Array): boolean {
    // No Buffer: that one's `slice` does not copy.
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    if (this.session === undefined) return this.handshakeBytes.push(bytes);
    const view = new DataView(buffer, byteOffset, byteLength);
    return this.session.receive(bytes, view, 0, byteLength);
  }
}
