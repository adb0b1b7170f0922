import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, NbdError } from '../errors.js';
import { exitCode } from './exit-codes.js';
import { onStopSignal } from './signals.js';

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

/**
 * Run a shell command with the URI in its environment, as NBD_URI and as `uri`.
 * SIGINT and SIGTERM are passed on to it, so that it is never left behind.
 * Resolves with its exit status, as a shell would report it.
 */
export function runCommand(command: string, uri: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], {
      stdio: 'inherit',
      env: { ...process.env, NBD_URI: uri, uri },
    });
    onStopSignal((signal) => child.kill(signal));
    child.once('error', (cause) => {
      reject(new NbdError('NBDCORK_RUN', `Cannot run '${command}': ${cause.message}`, cause));
    });
    child.once('exit', (status, signal) => {
      resolve(status ?? exitCode.signalBase + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
