/** `serve --run`: a captive server, which lives as long as one command. */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, NbdError } from '../errors.js';
import { onStopSignals, statusOf, type StopSignal } from './signals.js';

/**
 * Creates a folder that only this user can enter, for the socket that the command
 * connects to. It is removed when the process exits.
 * @throws NbdError `NBDCORK_RUN`.
 */
export async function privateFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'nbdcork-')).catch((cause: unknown) => {
    throw new NbdError(
      'NBDCORK_RUN',
      `Cannot create a folder for the socket in ${tmpdir()}: ${messageOf(cause)}. ` +
        'Set TMPDIR to a writable folder, or use --unix or --port.',
      cause,
    );
  });
  process.once('exit', () => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The shell command of `--run`. Signals that would stop the program are passed to it. */
export class CaptiveCommand {
  private child: ChildProcess | undefined;
  private signal: StopSignal | undefined;

  /**
   * Installs the signal handlers, so construct it before anything that needs
   * cleaning up. A second signal kills the command, calls `beforeExit` and ends
   * the process.
   */
  constructor(beforeExit: () => void) {
    onStopSignals(
      (signal) => {
        this.signal = signal;
        this.child?.kill(signal);
      },
      () => {
        this.child?.kill('SIGKILL');
        beforeExit();
      },
    );
  }

  /**
   * Runs `command` with the URI in its environment, as NBD_URI and `uri`, unless
   * there was a signal before. Resolves with its exit status, as a shell reports it.
   * @throws NbdError `NBDCORK_RUN`.
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
        // One of the two is not null.
        resolve(status ?? statusOf(signal ?? 'SIGKILL'));
      });
    });
  }
}
