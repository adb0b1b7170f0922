import { addon } from '../native/load.js';
import { exitCode } from './exit-codes.js';

/**
 * Ends the process with `process.exitCode`, also while a thread is in a system
 * call that does not return: `process.exit()` would wait for it.
 */
export function exitNow(): void {
  const status = Number(process.exitCode ?? exitCode.ok);
  process.emit('exit', status);
  addon?.exitNow(status);
  process.exit(status);
}
