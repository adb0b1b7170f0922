/** Keeps clients from filling the log: lines past a rate are counted and summed up. */
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
 * from `info` up. What was suppressed is reported once a second, by level.
 */
export class LimitedLogger implements Logger {
  private readonly logger: Logger;
  private readonly burst: number;
  private readonly linesPerSecond: number;
  private readonly now: () => number;
  private tokens: number;
  private filledMs: number;
  private readonly suppressed = new Map<Level, number>();
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
    this.logger.debug(details, message);
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
      this.logger[level]({ suppressed: count }, `${count} more log lines were suppressed`);
    }
    this.suppressed.clear();
  }

  private log(level: Level, details: object, message: string): void {
    const now = this.now();
    const refill = ((now - this.filledMs) / 1000) * this.linesPerSecond;
    this.tokens = Math.min(this.burst, this.tokens + refill);
    this.filledMs = now;
    if (this.tokens >= 1) {
      this.tokens--;
      this.logger[level](details, message);
      return;
    }
    this.suppressed.set(level, (this.suppressed.get(level) ?? 0) + 1);
    this.timer ??= setTimeout(() => {
      this.flush();
    }, summaryIntervalMs).unref();
  }
}
