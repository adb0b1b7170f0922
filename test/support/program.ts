/** The program `nbdcork` as a process with arguments, output and an exit status. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

export const programPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

export interface ProgramExit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The output of a process so far, which can be waited for. */
export class Output {
  text = '';
  private readonly waiting: (() => void)[] = [];
  private ended = false;

  constructor(stream: Readable) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      this.text += chunk;
      this.wake();
    });
    stream.once('close', () => {
      this.ended = true;
      this.wake();
    });
  }

  /** The first match, as soon as there is one. @throws where the stream ends without one. */
  async match(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match !== null) return match;
      if (this.ended) throw new Error(`The output does not match ${String(pattern)}: ${this.text}`);
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

export interface StartOptions {
  /** Command and first arguments. Default: Node.js with the program. */
  readonly command?: readonly [string, ...string[]];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** Options with which a server has one thread. */
const oneThread = ['--stdio', '--resizable', '--threads', '--help'];

/** The arguments, with those of a server that NBDCORK_THREADS gives several threads. */
export function withThreads(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): readonly string[] {
  const { NBDCORK_THREADS = '', NBDCORK_NO_NATIVE } = { ...process.env, ...env };
  const threads = NBDCORK_NO_NATIVE === '1' ? '' : NBDCORK_THREADS;
  const [command, ...rest] = args;
  if (command !== 'serve' || threads === '' || rest.some((arg) => oneThread.includes(arg))) {
    return args;
  }
  return [command, '--threads', threads, ...rest];
}

/** A process whose output is collected. It is killed after the test. */
export class RunningProgram {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly exited: Promise<ProgramExit>;
  private readonly child: ChildProcess;

  constructor(t: TestContext, args: readonly string[], options: StartOptions = {}) {
    const [file, ...first] = options.command ?? [process.execPath, programPath];
    const child = spawn(file, [...first, ...withThreads(args, options.env)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    this.child = child;
    this.stdout = new Output(child.stdout);
    this.stderr = new Output(child.stderr);
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => {
        resolve({ status, signal });
      });
    });
    t.after(() => {
      this.signal('SIGKILL');
      return this.exited;
    });
  }

  get pid(): number {
    assert.ok(this.child.pid !== undefined, 'the process did not start');
    return this.child.pid;
  }

  /** Does nothing after the process has exited. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Wait for the URIs that a server prints when it listens. */
  async uris(count = 1): Promise<string[]> {
    const lines = new RegExp(`^(?:.+\\n){${count}}`);
    const match = await this.stdout.match(lines).catch(async (cause: unknown) => {
      const { status } = await this.exited;
      throw new Error(`The program exited with ${status ?? 'a signal'}: ${this.stderr.text}`, {
        cause,
      });
    });
    return match[0].trimEnd().split('\n');
  }

  /** Send a signal, and wait for the exit. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProgramExit> {
    this.signal(signal);
    return this.exited;
  }
}

export interface ServingProgram {
  readonly server: RunningProgram;
  readonly uri: string;
}

/** Start `nbdcork serve ARGS`, and wait until it listens. After the test it must exit with 0. */
export async function serve(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): Promise<ServingProgram> {
  const started: RunningProgram[] = [];
  // Hooks run in the order of registration, and that of RunningProgram kills.
  t.after(async () => {
    for (const server of started) {
      assert.deepEqual(await server.stop(), { status: 0, signal: null }, server.stderr.text);
    }
  });
  const server = new RunningProgram(t, ['serve', ...args], options);
  const [uri] = await server.uris();
  assert.ok(uri !== undefined);
  started.push(server);
  return { server, uri };
}

/** Run `nbdcork ARGS` until it exits. */
export async function runProgram(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): Promise<ProgramExit & { stdout: string; stderr: string }> {
  const program = new RunningProgram(t, args, options);
  const ended = await program.exited;
  return { ...ended, stdout: program.stdout.text, stderr: program.stderr.text };
}
