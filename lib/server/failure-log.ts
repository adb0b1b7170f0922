/**
 * What the log tells of the failed requests of a connection. A client may have
 * any number of requests fail, and must not fill the log's disk with them.
 */
import { codeOf } from '../errors.js';
import { failuresToldMax } from '../limits.js';
import { Command } from '../wire/constants.js';
import { commandName } from '../wire/names.js';

type Tell = (level: 'debug' | 'warn', error: unknown, what: string) => void;

const writeZeroes = commandName(Command.writeZeroes);

export class FailureLog {
  private readonly tell: Tell;
  private told = 0;
  private readonly flaws = new Set<string>();

  constructor(tell: Tell) {
    this.tell = tell;
  }

  add(error: unknown, command: string): void {
    const level = isAnswer(error, command) || this.told >= failuresToldMax ? 'debug' : 'warn';
    this.tell(level, error, `${command} failed`);
    if (level === 'debug') return;
    this.told++;
    if (this.told < failuresToldMax) return;
    this.tell(
      'warn',
      `${failuresToldMax} requests have failed`,
      'what else fails on this connection is told at debug level only',
    );
  }

  /** Something that fails no request, and is likely to be wrong every time: told once. */
  flaw(error: unknown, what: string): void {
    this.tell(this.flaws.has(what) ? 'debug' : 'warn', error, what);
    this.flaws.add(what);
  }
}

/**
 * "MUST fail quickly with an error of NBD_ENOTSUP" (NBD_CMD_FLAG_FAST_ZERO):
 * clients ask like that whether zeroing is fast. Nothing is wrong then.
 */
function isAnswer(error: unknown, command: string): boolean {
  const code = codeOf(error);
  return command === writeZeroes && (code === 'ENOTSUP' || code === 'EOPNOTSUPP');
}
