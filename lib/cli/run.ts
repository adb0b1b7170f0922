import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, NbdError } from '../errors.js';
import { exitCode } from './exit-codes.js';
import { onStopSignal, type StopSignal } from './signals.js';

/** A directory that only this user can enter, for a socket that only `--run`'s command needs. */
export async function privateDirectory(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'nbdcork-')).catch((cause: unknown) => {
    throw new NbdError(
      'NBDCORK_RUN',
      `Cannot make a folder for the socket in ${tmpdir()}: ${messageOf(cause)}. ` +
        'Set TMPDIR to one that can be written, or give --unix or --port.',
      cause,
    );
  });
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The shell command of `--run`, which gets the signals that would stop the program. */
export class Captive {
  private child: ChildProcess | undefined;
  private signal: StopSignal | undefined;

  /** From now on signals end nothing themselves any more: make it before anything that has to be cleaned up. */
  constructor() {
    onStopSignal((signal) => {
      this.signal = signal;
      this.child?.kill(signal);
    });
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
        resolve(status ?? statusOf(signal));
      });
    });
  }
}

function statusOf(signal: NodeJS.Signals | null): number {
  return exitCode.signalBase + (signal === null ? 0 : constants.signals[signal]);
}
