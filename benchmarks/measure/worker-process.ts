/**
 * Processes that answer questions: the load and our server are such, and the
 * one that runs the benchmark asks. One question at a time.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.js';
import { BenchmarkError } from '../errors.js';

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
  /** How much longer than it should take an answer is waited for. */
  readonly patienceSeconds?: number;
  /** Aborted, the process is ended, and never started anew. */
  readonly signal?: AbortSignal;
}

/**
 * A process that is asked. `Question` is what its file says it takes, `Answers`
 * what it gives to each type of them. One that gave no answer is ended, and
 * started anew for the next question: a server that hangs spoils one sample,
 * not those after it.
 */
export class Asked<Question extends { readonly type: keyof Answers }, Answers> {
  private child: ChildProcess;
  private ended: Promise<never>;
  private readonly start: () => ChildProcess;
  private readonly patienceSeconds: number;
  private readonly signal: AbortSignal | undefined;

  constructor(scriptPath: string, options: StartOptions = {}) {
    const { prefix = [], input = 'ignore', output = 'ignore', patienceSeconds = 30 } = options;
    const stdio: StdioOptions = [input, output, 'inherit', 'ipc'];
    const [command, ...args] = [...prefix, process.execPath, scriptPath];
    this.patienceSeconds = patienceSeconds;
    this.signal = options.signal;
    this.signal?.addEventListener('abort', () => void this.stop());
    this.start = () => spawn(command, args, { stdio });
    this.child = this.start();
    this.ended = failAtEnd(this.child);
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new BenchmarkError('NBDCORK_BENCH', 'A process did not start.');
    return pid;
  }

  /**
   * Ask what should take `seconds`.
   * @throws BenchmarkError `NBDCORK_BENCH` where the process could not do it, ended, or took too long.
   * @throws the signal's reason where it was aborted, also between two questions.
   */
  async ask<Type extends Question['type']>(
    question: Question & { readonly type: Type },
    seconds = 0,
  ): Promise<Answers[Type]> {
    this.signal?.throwIfAborted();
    if (this.isGone) {
      this.child = this.start();
      this.ended = failAtEnd(this.child);
    }
    const { answer, failure } = await this.answerTo(question, seconds);
    if (failure !== undefined) throw new BenchmarkError('NBDCORK_BENCH', failure);
    // Of its own file, so it is what the types say.
    return answer as Answers[Type];
  }

  /** End it. Settles when it is gone. */
  async stop(): Promise<void> {
    if (this.isGone) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  private get isGone(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private async answerTo(question: Question, seconds: number): Promise<Answer> {
    const { child } = this;
    const settled = new AbortController();
    const answered = once(child, 'message', settled) as Promise<[Answer]>;
    const unsent = new Promise<never>((_, reject) => {
      child.send(question, (error) => {
        if (error !== null) reject(error);
      });
    });
    const late = failAfter(seconds + this.patienceSeconds, settled.signal);
    try {
      const [found] = await Promise.race([answered, this.ended, unsent, late]);
      return found;
    } catch (error) {
      // What it answers later would be taken for the answer to another question.
      await this.stop();
      throw error;
    } finally {
      settled.abort();
    }
  }
}

function failAtEnd(child: ChildProcess): Promise<never> {
  const ended = once(child, 'exit').then(([status]: (number | null)[]) => {
    throw new BenchmarkError(
      'NBDCORK_BENCH',
      `A process of the benchmark ended: ${status ?? 'killed'}.`,
    );
  });
  // Whoever asks hears of it; between two questions nobody does.
  ended.catch(() => undefined);
  return ended;
}

async function failAfter(seconds: number, signal: AbortSignal): Promise<never> {
  await setTimeout(seconds * 1000, undefined, { signal });
  throw new BenchmarkError('NBDCORK_BENCH', `No answer within ${seconds} s: the server hangs.`);
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
