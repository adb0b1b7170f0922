import { writeSync } from 'node:fs';
import { codeOf, messageOf } from '../errors.js';
import { exitCode } from './exit-codes.js';
import { withoutBlocking, type LoggingOptions } from './logging.js';

/** Errors that a different command line avoids. */
const usageErrors: readonly unknown[] = [
  'NBDCORK_BAD_EXPORT',
  'NBDCORK_BAD_LIMIT',
  'NBDCORK_BAD_RULE',
  'NBDCORK_BAD_SIZE',
  'NBDCORK_BAD_SOURCE',
  'NBDCORK_BAD_STRING',
  'NBDCORK_BAD_TLS',
];

const stderr = 2;
const pinoError = 50;

/** Errors after which data may be lost. */
const dataLostErrors: readonly unknown[] = ['NBDCORK_DATA_LOST', 'NBDCORK_SHUTDOWN_TIMEOUT'];

/**
 * Prints the error that ends the program, at every log level and in the format
 * of the log, and sets the exit code.
 */
export function reportFailure(
  error: unknown,
  logFormat: LoggingOptions['logFormat'] = 'text',
): void {
  const code = codeOf(error);
  const msg = messageOf(error);
  const line =
    logFormat === 'json'
      ? JSON.stringify({ level: pinoError, time: Date.now(), code, msg })
      : `nbdcork: ${msg}${code === undefined ? '' : ` (${code})`}`;
  try {
    // Not process.stderr, which waits for a pipe that is full.
    writeSync(withoutBlocking(stderr), `${line}\n`);
  } catch {
    // The exit code still tells that the program failed.
  }
  process.exitCode = statusFor(code);
}

function statusFor(code: string | undefined): number {
  if (usageErrors.includes(code)) return exitCode.usage;
  return dataLostErrors.includes(code) ? exitCode.dataLost : exitCode.failure;
}
