/**
 * What the log tells of the failed requests of a connection. A client may have
 * any number of requests fail, and must not fill the log's disk with them.
 */
import { codeOf } from '../errors.js';
import { failuresToldMax } from '../limits.js';
import type { FailedRequest } from '../transmission/dispatch.js';
import { Command } from '../wire/constants.js';
import { commandName } from '../wire/names.js';

type Tell = (level: 'debug' | 'warn', error: unknown, what: string) => void;

export class FailureLog {
  private readonly tell: Tell;
  private told = 0;
  private readonly warnings = new Set<string>();

  constructor(tell: Tell) {
    this.tell = tell;
  }

  requestFailed(error: unknown, request: FailedRequest): void {
    const isExpected = isUnsupportedZeroing(error, request) || this.told >= failuresToldMax;
    const level = isExpected ? 'debug' : 'warn';
    this.tell(level, error, `${commandName(request.type)} failed`);
    if (level === 'debug') return;
    this.told++;
    if (this.told < failuresToldMax) return;
    this.tell(
      'warn',
      `${failuresToldMax} requests have failed`,
      'what else fails on this connection is told at debug level only',
    );
  }

  /** It fails no request and is likely to recur with each: logged as a warning once. */
  backendWarning(error: unknown, what: string): void {
    this.tell(this.warnings.has(what) ? 'debug' : 'warn', error, what);
    this.warnings.add(what);
  }
}

/**
 * "MUST fail quickly with an error of NBD_ENOTSUP" (NBD_CMD_FLAG_FAST_ZERO):
 * clients ask like that whether zeroing is fast. Nothing is wrong then.
 */
function isUnsupportedZeroing(error: unknown, { type }: FailedRequest): boolean {
  const code = codeOf(error);
  return type === Command.writeZeroes && (code === 'ENOTSUP' || code === 'EOPNOTSUPP');
}
