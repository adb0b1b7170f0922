import { write } from 'node:fs';
import { messageOf, codeOf } from '../errors.js';

export interface LogOutputOptions {
  /** Bytes of lines that may wait; further lines are dropped and counted. */
  readonly pendingBytesMax?: number;
  /** Time before the next attempt after an output that failed, in milliseconds. */
  readonly retryMs?: number;
}

const pendingBytesMaxDefault = 2 ** 20;
const retryMsDefault = 250;

/**
 * Writes log lines to a descriptor without waiting for it. An output that is
 * full, slow, closed or out of space costs lines, never the server: one write
 * is in progress at a time, on a thread of libuv's pool, and what is behind it
 * is bounded. When the output works again, a line says how many were dropped.
 */
export class LogOutput {
  private readonly fd: number;
  private readonly pendingBytesMax: number;
  private readonly retryMs: number;
  private readonly droppedLine: (count: number, reason: string) => string;
  private pending: string[] = [];
  private pendingBytes = 0;
  private writing = false;
  private dropped = 0;
  private reason = '';
  private flushed: (() => void)[] = [];
  private retry: NodeJS.Timeout | undefined;

  /** `droppedLine` puts into words, in the log's format, that lines were dropped. */
  constructor(
    fd: number,
    droppedLine: (count: number, reason: string) => string,
    options: LogOutputOptions = {},
  ) {
    this.fd = fd;
    this.droppedLine = droppedLine;
    this.pendingBytesMax = options.pendingBytesMax ?? pendingBytesMaxDefault;
    this.retryMs = options.retryMs ?? retryMsDefault;
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    if (this.pendingBytes + line.length > this.pendingBytesMax) {
      this.drop(1, 'the log output is too slow');
      return;
    }
    this.pending.push(line);
    this.pendingBytes += line.length;
    if (!this.writing) this.writeNext();
  }

  /** Settles when all lines are written or dropped. */
  flush(): Promise<void> {
    if (!this.writing) return Promise.resolve();
    this.retry?.ref();
    return new Promise((resolve) => {
      this.flushed.push(resolve);
    });
  }

  private writeNext(): void {
    if (this.pending.length === 0) {
      this.writing = false;
      const { flushed } = this;
      this.flushed = [];
      for (const resolve of flushed) resolve();
      return;
    }
    this.writing = true;
    const lines = this.dropped > 0 ? [this.droppedLine(this.dropped, this.reason)] : [];
    lines.push(...this.pending);
    const count = this.pending.length;
    const reported = this.dropped;
    this.pending = [];
    this.pendingBytes = 0;
    this.writeAll(Buffer.from(lines.join('')), count, reported);
  }

  private writeAll(bytes: Buffer, lines: number, reported: number): void {
    write(this.fd, bytes, (error, count) => {
      if (error !== null && codeOf(error) === 'EAGAIN') {
        this.later(() => {
          this.writeAll(bytes, lines, reported);
        });
      } else if (error !== null) {
        this.drop(lines, messageOf(error));
        this.later(() => {
          this.writeNext();
        });
      } else if (count < bytes.length) {
        // Its first bytes are written, so the rest is needed to end a line.
        this.writeAll(bytes.subarray(count), lines, reported);
      } else {
        this.dropped -= reported;
        this.writeNext();
      }
    });
  }

  private later(next: () => void): void {
    this.retry = setTimeout(next, this.retryMs);
    // A log that cannot be written must not keep the process running by itself.
    if (this.flushed.length === 0) this.retry.unref();
  }

  private drop(lines: number, reason: string): void {
    this.dropped += lines;
    this.reason = reason;
  }
}
