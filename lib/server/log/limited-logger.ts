/** Keeps clients from filling the log: lines past a rate are counted and summed up. */
import { isPromise } from '../../backend/maybe-promise.js';
import { messageOf } from '../../errors.js';
import type { Logger } from './logger.js';

export interface LogLimitOptions {
  /** Lines that may be logged at once. */
  readonly burst?: number;
  /** Lines a second in the long run. */
  readonly linesPerSecond?: number;
  readonly now?: () => number;
}

type Level = 'debug' | 'info' | 'warn' | 'error';

const burstDefault = 200;
const linesPerSecondDefault = 20;
const summaryIntervalMs = 1000;

/**
 * A logger that passes on at most so many lines a second, over all levels
 * from `info` up. What was suppressed is reported once a second, by level. Errors
 * that the logger throws lose lines and nothing else: they are counted, and
 * reported when it works again.
 */
export class LimitedLogger implements Logger {
  private readonly logger: Logger;
  private readonly burst: number;
  private readonly linesPerSecond: number;
  private readonly now: () => number;
  private tokens: number;
  private filledMs: number;
  private readonly suppressed = new Map<Level, number>();
  private lost = 0;
  private lostBecause = '';
  private timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger, options: LogLimitOptions = {}) {
    this.logger = logger;
    this.burst = options.burst ?? burstDefault;
    this.linesPerSecond = options.linesPerSecond ?? linesPerSecondDefault;
    this.now = options.now ?? (() => performance.now());
    this.tokens = this.burst;
    this.filledMs = this.now();
  }

  debug(details: object, message: string): void {
    this.pass('debug', details, message);
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

  /** Report what was suppressed now. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [level, count] of this.suppressed) {
      this.pass(level, { suppressed: count }, `${count} more log lines were suppressed`);
    }
    this.suppressed.clear();
    if (this.lost > 0) this.reportLost();
  }

  private log(level: Level, details: object, message: string): void {
    const now = this.now();
    const refill = ((now - this.filledMs) / 1000) * this.linesPerSecond;
    this.tokens = Math.min(this.burst, this.tokens + refill);
    this.filledMs = now;
    if (this.tokens >= 1) {
      this.tokens--;
      this.pass(level, details, message);
      return;
    }
    this.suppressed.set(level, (this.suppressed.get(level) ?? 0) + 1);
    this.flushLater();
  }

  private flushLater(): void {
    this.timer ??= setTimeout(() => {
      this.flush();
    }, summaryIntervalMs).unref();
  }

  private pass(level: Level, details: object, message: string): void {
    try {
      // A person's logger may be asynchronous.
      const logger: Record<Level, (details: object, message: string) => unknown> = this.logger;
      const result = logger[level](details, message);
      if (isPromise(result)) {
        Promise.resolve(result).catch((error: unknown) => {
          this.lose(error);
        });
      }
    } catch (error) {
      this.lose(error);
    }
  }

  private lose(error: unknown): void {
    this.lost++;
    this.lostBecause = messageOf(error);
    this.flushLater();
  }

  private reportLost(): void {
    const { lost, lostBecause } = this;
    this.lost = 0;
    this.pass('warn', { lost }, `${lost} log lines were lost: the logger failed: ${lostBecause}`);
    // The report was lost too, and counts itself.
    if (this.lost > 0) this.lost = lost;
  }
}
