/** Programs of other projects: where they are, and of which version. */
import { spawn, spawnSync, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { NbdError } from '../../lib/errors.js';

/** The last two are not on every user's PATH. */
const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];

export function findProgram(name: string): string | undefined {
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The first number with dots in what `--version` prints. */
export function versionOf(path: string): string {
  const { stdout, stderr } = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return /\d+(?:\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'unknown';
}

export interface Program {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** Start a server that runs until it is stopped. What it says goes nowhere. */
export async function startProgram(
  [command = '', ...args]: readonly string[],
  stdio: StdioOptions = 'ignore',
): Promise<Program> {
  const child = spawn(command, args, { stdio });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new NbdError('NBDCORK_BENCH', `${command} did not start.`);
  return {
    pid,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
