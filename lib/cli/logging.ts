import { isatty } from 'node:tty';
import { pino, type Logger } from 'pino';
import { PinoPretty } from 'pino-pretty';

export const logFormats = ['text', 'json'] as const;
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export interface LoggingOptions {
  readonly logFormat: (typeof logFormats)[number];
  readonly logLevel: (typeof logLevels)[number];
}

const stderr = 2;

/** Logs to standard error: standard output is for URIs, or for the protocol with --stdio. */
export function createLogger({ logFormat, logLevel }: LoggingOptions): Logger {
  const options = { level: logLevel, base: null };
  if (logFormat === 'json') return pino(options, pino.destination({ fd: stderr, sync: true }));
  const pretty = PinoPretty({
    destination: stderr,
    sync: true,
    colorize: isatty(stderr),
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return pino(options, pretty);
}
