/**
 * Logs the failed requests of a connection. A client can make any number of
 * requests fail, and must not fill the disk of the log with them.
 */
import { codeOf } from '../../errors.js';
import type { FailedRequest } from '../../transmission/dispatch.js';
import { Command } from '../../wire/constants.js';
import { commandName } from '../../wire/names.js';

/** Failed requests of a connection that are logged as warnings. */
export const warningsMax = 10;

type LogError = (level: 'debug' | 'warn', error: unknown, what: string) => void;

export class FailureLog {
  private readonly log: LogError;
  private warnings = 0;
  private readonly warnedAbout = new Set<string>();

  constructor(log: LogError) {
    this.log = log;
  }

  requestFailed(error: unknown, request: FailedRequest): void {
    const expected = isUnsupportedZeroing(error, request);
    const level = expected || this.warnings >= warningsMax ? 'debug' : 'warn';
    this.log(level, error, `${commandName(request.type)} failed`);
    if (level === 'debug') return;
    this.warnings++;
    if (this.warnings < warningsMax) return;
    this.log(
      'warn',
      `${warningsMax} requests have failed`,
      'further failures on this connection are logged at debug level',
    );
  }

  /** A fault that fails no request, and probably recurs: one warning for each kind. */
  backendWarning(error: unknown, what: string): void {
    this.log(this.warnedAbout.has(what) ? 'debug' : 'warn', error, what);
    this.warnedAbout.add(what);
  }
}

/**
 * "MUST fail quickly with an error of NBD_ENOTSUP" (NBD_CMD_FLAG_FAST_ZERO): this is
 * how clients find out whether zeroing is fast.
 */
function isUnsupportedZeroing(error: unknown, { type }: FailedRequest): boolean {
  const code = codeOf(error);
  return type === Command.writeZeroes && (code === 'ENOTSUP' || code === 'EOPNOTSUPP');
}
