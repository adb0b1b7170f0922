import { fstatSync, openSync, constants } from 'node:fs';
import { isatty } from 'node:tty';
import { pino, type Logger } from 'pino';
import { LogOutput } from './log-output.js';
import { logText } from './log-text.js';

export const logFormats = ['text', 'json'] as const;
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export interface LoggingOptions {
  readonly logFormat: (typeof logFormats)[number];
  readonly logLevel: (typeof logLevels)[number];
}

/** The log of the program. */
export interface Log {
  readonly logger: Logger;
  /** Resolves when all lines are written or dropped; false if that takes longer than `timeoutMs`. */
  readonly flush: (timeoutMs: number) => Promise<boolean>;
}

const stderr = 2;
const pinoWarning = 40;

/** Logs to standard error: standard output is for URIs, or for the protocol with --stdio. */
export function openLog({ logFormat, logLevel }: LoggingOptions): Log {
  const format = logFormat === 'json' ? (line: string) => line : textFormat();
  const output = new LogOutput(withoutBlocking(stderr), (count, reason) =>
    format(
      `${JSON.stringify({
        level: pinoWarning,
        time: Date.now(),
        dropped: count,
        msg: `${count} log lines were dropped: ${reason}`,
      })}\n`,
    ),
  );
  const logger = pino(
    { level: logLevel, base: null },
    {
      write: (line) => {
        output.write(format(line));
      },
    },
  );
  return { logger, flush: (timeoutMs) => withinTime(output.flush(), timeoutMs) };
}

function textFormat(): (line: string) => string {
  // As of https://no-color.org.
  const { NO_COLOR: noColor = '' } = process.env;
  const colors = isatty(stderr) && noColor === '';
  return (line) => logText(line, colors);
}

/**
 * The same pipe or terminal, opened again: O_NONBLOCK is a property of the open
 * file description, which other processes share. A file stays as it is, because
 * a second description would have its own position.
 */
export function withoutBlocking(fd: number): number {
  try {
    const stats = fstatSync(fd);
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return fd;
  }
}

function withinTime(done: Promise<void>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(false);
    }, timeoutMs);
    void done.then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
