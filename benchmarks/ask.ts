/**
 * Processes that answer questions: the load and our server are such, and the
 * one that runs the benchmark asks. One question at a time.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { messageOf, NbdError } from '../lib/errors.js';

interface Answer {
  readonly answer?: unknown;
  readonly failure?: string;
}

export interface StartOptions {
  /** What the process is started with, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** Standard input and output; nothing unless given. */
  readonly input?: number;
  readonly output?: number;
}

/** A process that is asked. `Question` and `Answers` are what its file says it takes and gives. */
export class Asked<Question extends object> {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;

  constructor(scriptPath: string, options: StartOptions = {}) {
    const { prefix = [], input = 'ignore', output = 'ignore' } = options;
    const stdio: StdioOptions = [input, output, 'inherit', 'ipc'];
    const [command, ...args] = [...prefix, process.execPath, scriptPath];
    this.child = spawn(command, args, { stdio });
    this.ended = this.failAtEnd();
    // Whoever asks hears of it; between two questions nobody does.
    this.ended.catch(() => undefined);
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new NbdError('NBDCORK_BENCH', 'A process did not start.');
    return pid;
  }

  /** @throws NbdError `NBDCORK_BENCH` where the process could not do it, or ended. */
  async ask(question: Question): Promise<unknown> {
    const answered = once(this.child, 'message') as Promise<[Answer]>;
    this.child.send(question, (error) => {
      if (error !== null) this.child.emit('error', error);
    });
    const [{ answer, failure }] = await Promise.race([answered, this.ended]);
    if (failure !== undefined) throw new NbdError('NBDCORK_BENCH', failure);
    return answer;
  }

  /** End it. Settles when it is gone. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  private async failAtEnd(): Promise<never> {
    const [status] = (await once(this.child, 'exit')) as [number | null];
    throw new NbdError('NBDCORK_BENCH', `A process of the benchmark ended: ${status ?? 'killed'}.`);
  }
}

/** The other side: answer a question with what `work` returns, or why it cannot. */
export async function answer(work: () => unknown): Promise<void> {
  let reply: Answer;
  try {
    reply = { answer: await work() };
  } catch (error) {
    reply = { failure: messageOf(error) };
  }
  process.send?.(reply);
}

/** End this process with the one that asks. */
export function endWithAsker(): void {
  process.on('disconnect', () => process.exit());
}
