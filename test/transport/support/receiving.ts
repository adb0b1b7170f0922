import type { Readable, Writable } from 'node:stream';
import type { Transport } from '../../../lib/transport/index.js';
import type { Material } from './material.js';

/** Everything that a stream brings until it closes. It reads only while told to. */
export class Receiver {
  /** All bytes, once the stream is closed. */
  readonly closed: Promise<Buffer>;
  /** Whether the sender ended properly. */
  ended = false;
  error: Error | undefined;
  private readonly chunks: Buffer[] = [];
  private count = 0;
  private readonly marks: { count: number; reached: () => void }[] = [];
  private readonly stream: Readable;

  constructor(stream: Readable) {
    this.stream = stream;
    stream.pause();
    stream.on('data', (chunk: Buffer) => this.take(chunk));
    stream.on('end', () => (this.ended = true));
    stream.on('error', (error) => (this.error = error));
    this.closed = new Promise((resolve) => {
      stream.on('close', () => resolve(Buffer.concat(this.chunks)));
    });
  }

  read(): this {
    this.stream.resume();
    return this;
  }

  stop(): this {
    this.stream.pause();
    return this;
  }

  /** Settles when `count` bytes have come. */
  got(count: number): Promise<void> {
    this.read();
    if (this.count >= count) return Promise.resolve();
    return new Promise((reached) => this.marks.push({ count, reached }));
  }

  /** What has come so far. */
  bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  private take(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.count += chunk.length;
    for (const mark of this.marks) {
      if (this.count >= mark.count) mark.reached();
    }
  }
}

/** What a sending stream reports: its errors, and when it is gone. */
export class Reports {
  readonly errors: Error[] = [];
  readonly closed: Promise<void>;
  isClosed = false;

  constructor(stream: Writable) {
    stream.on('error', (error) => this.errors.push(error));
    this.closed = new Promise((resolve) => {
      stream.on('close', () => {
        this.isClosed = true;
        resolve();
      });
    });
  }
}

/** Send to a reader that has stopped, until the kernel takes no more and 'drain' is to be awaited. */
export function fill(transport: Transport, material: Material): void {
  while (transport.queuedBytes < transport.stream.writableHighWaterMark) {
    transport.sendv(material.pieces([16, 65_536]));
    transport.flush();
  }
}

/** Settles when a stream that asked to wait takes more, or never will. */
export function drained(stream: Writable): Promise<void> {
  if (!stream.writable) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('drain', resolve);
    stream.once('close', resolve);
  });
}

/** The end of the event loop's tick. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
