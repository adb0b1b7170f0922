import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, NbdError } from '../errors.js';
import { onStopSignals, statusOf, type StopSignal } from './signals.js';

/**
 * A directory that only this user can enter, for a socket that only `--run`'s
 * command needs. It is gone when the process has ended, however it ends itself.
 */
export async function privateDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'nbdcork-')).catch((cause: unknown) => {
    throw new NbdError(
      'NBDCORK_RUN',
      `Cannot make a folder for the socket in ${tmpdir()}: ${messageOf(cause)}. ` +
        'Set TMPDIR to one that can be written, or give --unix or --port.',
      cause,
    );
  });
  process.once('exit', () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The shell command of `--run`, which gets the signals that would stop the program. */
export class Captive {
  private child: ChildProcess | undefined;
  private signal: StopSignal | undefined;

  /**
   * From now on the first signal ends nothing itself any more: make it before
   * anything that has to be cleaned up. The second one kills the command and
   * ends the process, behind `giveUp`.
   */
  constructor(giveUp: () => void) {
    onStopSignals(
      (signal) => {
        this.signal = signal;
        this.child?.kill(signal);
      },
      () => {
        this.child?.kill('SIGKILL');
        giveUp();
      },
    );
  }

  /**
   * Run `command` with the URI in its environment, as NBD_URI and as `uri`,
   * unless there was a signal before. Resolves with its exit status, as a shell
   * would report it.
   */
  run(command: string, uri: string): Promise<number> {
    if (this.signal !== undefined) return Promise.resolve(statusOf(this.signal));
    return new Promise((resolve, reject) => {
      const child = spawn('/bin/sh', ['-c', command], {
        stdio: 'inherit',
        env: { ...process.env, NBD_URI: uri, uri },
      });
      this.child = child;
      child.once('error', (cause) => {
        reject(new NbdError('NBDCORK_RUN', `Cannot run '${command}': ${cause.message}`, cause));
      });
      child.once('exit', (status, signal) => {
        // One of the two is there.
        resolve(status ?? statusOf(signal ?? 'SIGKILL'));
      });
    });
  }
}
