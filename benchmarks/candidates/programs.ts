/** Programs of other projects: paths, versions, starting and stopping. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { codeOf, messageOf, NbdError } from '../../lib/errors.js';

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
  /** Fails when it ends, with the last of what it wrote on standard error. */
  readonly ended?: Promise<never>;
  readonly stop: () => Promise<void>;
}

const saidCharactersMax = 1000;
const saidLinesMax = 5;

/** The last lines of what a program wrote, as one: the reason is among them. */
export function lastLines(text: string): string {
  const lines = text.slice(-saidCharactersMax).split('\n');
  const full = lines.map((line) => line.trim()).filter((line) => line !== '');
  return full.slice(-saidLinesMax).join(' / ');
}

async function failAtEnd(child: ChildProcess): Promise<never> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    said = (said + chunk).slice(-saidCharactersMax);
  });
  // With its output, so that everything has been read.
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  const why = lastLines(said) || 'it wrote no error message';
  throw new NbdError('NBDCORK_BENCH', `The server ended with ${status ?? signal}: ${why}`);
}

/** Start a server that runs until it is stopped. */
export async function startProgram(
  [command = '', ...args]: readonly string[],
  [input, output]: readonly (number | 'ignore')[] = [],
): Promise<Program> {
  const stdio = [input ?? 'ignore', output ?? 'ignore', 'pipe'] as const;
  const child = spawn(command, args, { stdio: [...stdio] });
  const ended = failAtEnd(child);
  // Reported while the server starts, and ignored later.
  ended.catch(() => undefined);
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new NbdError('NBDCORK_BENCH', `${command} did not start.`);
  return {
    pid,
    ended,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

const daemonStartMs = 10_000;
const retryMs = 5;

/**
 * Start a server that goes into the background, and leaves its process
 * identifier in a file. It leads a group, in which its children are too.
 */
export async function startDaemon(
  [command = '', ...args]: readonly string[],
  pidPath: string,
): Promise<Program> {
  const { status, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) {
    const why = error === undefined ? lastLines(stderr) : messageOf(error);
    throw new NbdError('NBDCORK_BENCH', `${command}: ${why}`, error);
  }
  const pid = await readPid(pidPath, command);
  return {
    pid,
    stop: async () => {
      if (await isRunning(pid)) process.kill(-pid, 'SIGKILL');
      // It is not a child process, so there is no exit event.
      while (await isRunning(pid)) await setTimeout(retryMs);
    },
  };
}

/** The process that a daemon's file names, once that is written whole. */
async function readPid(path: string, command: string): Promise<number> {
  const deadline = performance.now() + daemonStartMs;
  for (;;) {
    const text = await readFile(path, 'latin1').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return '';
      throw error;
    });
    if (text.endsWith('\n')) return Number(text);
    if (performance.now() > deadline) {
      throw new NbdError('NBDCORK_BENCH', `${command} exited, or did not write its PID file.`);
    }
    await setTimeout(retryMs);
  }
}

/** False for a zombie. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch((error: unknown) => {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error) ?? '')) return ') X';
    throw error;
  });
  return !/\) [XZ]/.test(stat);
}
