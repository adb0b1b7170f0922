import { addon } from '../native/load.js';

/**
 * Ends the process without waiting for its threads: `process.exit()` waits for
 * those that are in a system call, and that of a disk that hangs may never return.
 */
export function exitNow(status: number): never {
  process.emit('exit', status);
  if (addon !== undefined) return addon.exitNow(status);
  const fileWork = process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
  if (fileWork) process.kill(process.pid, 'SIGKILL');
  return process.exit(status);
}
