import type { Logger } from '../log/logger.js';
import { counter, type FromThread, type LogLevel, type ThreadCounters } from './messages.js';
import { portableError } from './portable-error.js';

/** Records that may wait for the accepting thread; it may be busy, and the debug level is not limited. */
const recordsMax = 1000;

/** Sends the log of a serving thread to the accepting one, which writes it. */
export class ThreadLogger implements Logger {
  private readonly counters: ThreadCounters;
  private readonly post: (message: FromThread) => void;
  private dropped = 0;

  constructor(counters: ThreadCounters, post: (message: FromThread) => void) {
    this.counters = counters;
    this.post = post;
  }

  debug(details: object, message: string): void {
    this.log('debug', details, message);
  }

  info(details: object, message: string): void {
    this.log('info', details, message);
  }

  warn(details: object, message: string): void {
    this.log('warn', details, message);
  }

  error(details: object, message: string): void {
    this.log('error', details, message);
  }

  private log(level: LogLevel, details: object, message: string): void {
    if (Atomics.load(this.counters, counter.records) >= recordsMax) {
      this.dropped++;
      return;
    }
    const { dropped } = this;
    this.dropped = 0;
    if (dropped > 0) {
      this.send(
        'warn',
        { dropped },
        `${dropped} log lines of a thread were dropped: too many waited`,
      );
    }
    this.send(level, details, message);
  }

  private send(level: LogLevel, details: object, message: string): void {
    const { err, ...others }: { readonly err?: unknown } = details;
    const error = err === undefined ? undefined : portableError(err);
    Atomics.add(this.counters, counter.records, 1);
    this.post({ type: 'log', level, details: others, error, message });
  }
}
