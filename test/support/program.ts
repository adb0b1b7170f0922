/** The program `nbdcork` as its users have it: a process with arguments, output and an exit status. */
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

/** What a stream has brought so far, and the means to wait for more. */
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

  /** The first match, as soon as there is one; an error where the stream ends without. */
  async match(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match !== null) return match;
      if (this.ended) throw new Error(`No ${String(pattern)} in: ${this.text}`);
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

export interface StartOptions {
  /** What is run, with its arguments, in place of Node.js with the program. */
  readonly command?: readonly [string, ...string[]];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** A process whose output is gathered. It does not outlive the test. */
export class RunningProgram {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly exited: Promise<ProgramExit>;
  private readonly child: ChildProcess;

  constructor(t: TestContext, args: readonly string[], options: StartOptions = {}) {
    const [file, ...first] = options.command ?? [process.execPath, programPath];
    const child = spawn(file, [...first, ...args], {
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
    assert.ok(this.child.pid !== undefined, 'it did not start');
    return this.child.pid;
  }

  /** Nothing where it has ended. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Wait for the lines that a server prints when it listens. */
  async uris(count = 1): Promise<string[]> {
    const lines = new RegExp(`^(?:.+\\n){${count}}`);
    const match = await this.stdout.match(lines).catch(async (cause: unknown) => {
      const { status } = await this.exited;
      throw new Error(`It ended with ${status ?? 'a signal'}: ${this.stderr.text}`, { cause });
    });
    return match[0].trimEnd().split('\n');
  }

  /** Ask it to stop. How it ended. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ProgramExit> {
    this.signal(signal);
    return this.exited;
  }
}

export interface ServingProgram {
  readonly server: RunningProgram;
  readonly uri: string;
}

/** `nbdcork serve ARGS`, listening. At the end of the test it must stop as it should. */
export async function serve(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): Promise<ServingProgram> {
  const started: RunningProgram[] = [];
  // Hooks run in the order of their making, and that of RunningProgram kills.
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

/** `nbdcork ARGS`, to its end. */
export async function runProgram(
  t: TestContext,
  args: readonly string[],
  options: StartOptions = {},
): Promise<ProgramExit & { stdout: string; stderr: string }> {
  const program = new RunningProgram(t, args, options);
  const ended = await program.exited;
  return { ...ended, stdout: program.stdout.text, stderr: program.stderr.text };
}
