import type { Readable, Writable } from 'node:stream';
import type { Transport } from '../../../lib/transport/index.js';
import type { Material } from './material.js';

/** Collects the bytes of a stream until it closes. Reads only between `read` and `stop`. */
export class Receiver {
  /** All bytes, once the stream is closed. */
  readonly closed: Promise<Buffer>;
  /** Whether the stream emitted 'end'. */
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

  /** Settles when `count` bytes were received. */
  got(count: number): Promise<void> {
    this.read();
    if (this.count >= count) return Promise.resolve();
    return new Promise((reached) => this.marks.push({ count, reached }));
  }

  /** The bytes received so far. */
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

/** The errors of a sending stream, and when it is closed. */
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

/** Send to a reader that has stopped, until the kernel accepts no more and the stream needs 'drain'. */
export function fill(transport: Transport, material: Material): void {
  while (transport.queuedBytes < transport.stream.writableHighWaterMark) {
    transport.sendv(material.pieces([16, 65_536]));
    transport.flush();
  }
}

/** The end of the event loop's tick. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
