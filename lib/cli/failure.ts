import { codeOf, messageOf } from '../errors.js';
import { exitCode } from './exit-codes.js';
import { createLogger, type LoggingOptions } from './logging.js';

/** What only a different command line can mend. */
const wrongCommandLine: readonly unknown[] = [
  'NBDCORK_BAD_EXPORT',
  'NBDCORK_BAD_LIMIT',
  'NBDCORK_BAD_RULE',
  'NBDCORK_BAD_SELECTION',
  'NBDCORK_BAD_SIZE',
  'NBDCORK_BAD_SOURCE',
  'NBDCORK_BAD_STRING',
  'NBDCORK_BAD_TLS',
];

/**
 * Tell why the program cannot go on, and have it end with the exit code for
 * that. Whatever is logged, this is told; in JSON where the log is read by a program.
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
  process.exitCode = wrongCommandLine.includes(code) ? exitCode.usage : exitCode.failure;
}
