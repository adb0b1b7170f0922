/** A logger for tests. */
import type { Logger } from '../../lib/index.js';

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly details: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A logger that keeps its entries, and can wait for one. */
export class Log implements Logger {
  readonly entries: LogEntry[] = [];
  private readonly watchers = new Set<() => void>();

  /** All entries above the debug level. */
  get shown(): LogEntry[] {
    return this.entries.filter(({ level }) => level !== 'debug');
  }

  /** The first entry that matches, as soon as there is one. */
  async find(holds: (entry: LogEntry) => boolean): Promise<LogEntry> {
    for (;;) {
      const entry = this.entries.find(holds);
      if (entry !== undefined) return entry;
      await new Promise<void>((resolve) => this.watchers.add(resolve));
    }
  }

  /** The first entry with this error code. */
  findCode(code: string): Promise<LogEntry> {
    return this.find(({ details }) => details['code'] === code);
  }

  debug(details: object, message: string): void {
    this.add('debug', details, message);
  }

  info(details: object, message: string): void {
    this.add('info', details, message);
  }

  warn(details: object, message: string): void {
    this.add('warn', details, message);
  }

  error(details: object, message: string): void {
    this.add('error', details, message);
  }

  private add(level: LogEntry['level'], details: object, message: string): void {
    this.entries.push({ level, details: { ...details }, message });
    for (const wake of this.watchers) wake();
    this.watchers.clear();
  }
}
