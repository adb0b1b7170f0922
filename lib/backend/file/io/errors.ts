/** Errors of system calls on files. Their messages reach clients, so they do not name the file. */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { NbdError } from '../../../errors.js';

/** The results of addon functions that fail with one of these errors. */
export function failures(...names: readonly (keyof typeof constants.errno)[]): ReadonlySet<number> {
  return new Set(names.map((name) => -constants.errno[name]));
}

/** The error of an addon function that returned `result`, a negated errno. */
export function systemError(result: number, action: string): NbdError {
  const code = getSystemErrorName(result);
  return new NbdError(code, `Could not ${action}: ${code}.`);
}

/** What is wrong with a file that has no data at `offset`, a place inside the disk. */
export function truncatedMessage(offset: number): string {
  return (
    `The file has no data at ${offset}: it is shorter than the disk. ` +
    'Restore its length, or open it again.'
  );
}
