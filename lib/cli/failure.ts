import { codeOf, messageOf } from '../errors.js';
import { exitCode } from './exit-codes.js';
import { createLogger, type LoggingOptions } from './logging.js';

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

/**
 * Prints the error that ends the program, at every log level and in the format
 * of the log, and sets the exit code.
 */
export function reportFailure(
  error: unknown,
  logFormat: LoggingOptions['logFormat'] = 'text',
): void {
  const code = codeOf(error);
  if (logFormat === 'json') {
    createLogger({ logFormat, logLevel: 'error' }).error({ code }, messageOf(error));
  } else {
    process.stderr.write(`nbdcork: ${messageOf(error)}${code === undefined ? '' : ` (${code})`}\n`);
  }
  process.exitCode = usageErrors.includes(code) ? exitCode.usage : exitCode.failure;
}
