/** Processes that respond to requests: the load generator and our server. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { messageOf, NbdError } from '../../lib/errors.js';

interface Response {
  readonly value?: unknown;
  readonly failure?: string;
}

export interface WorkerOptions {
  /** A command that starts the process, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** Descriptors of standard input and output; ignored by default. */
  readonly input?: number;
  readonly output?: number;
  /** How long a response may take beyond the expected duration of its request. */
  readonly timeoutSeconds?: number;
  /** Ends the process when aborted; it is not restarted then. */
  readonly signal?: AbortSignal;
}

/**
 * A process that handles one request at a time. `Request` is the union of its
 * requests, `Responses` the response of each type. A process that does not
 * respond is killed, and restarted for the next request, so that a server that
 * hangs spoils one sample and not the following ones.
 */
export class WorkerProcess<Request extends { readonly type: keyof Responses }, Responses> {
  private child: ChildProcess;
  private exited: Promise<never>;
  private readonly start: () => ChildProcess;
  private readonly timeoutSeconds: number;
  private readonly signal: AbortSignal | undefined;

  constructor(scriptPath: string, options: WorkerOptions = {}) {
    const { prefix = [], input = 'ignore', output = 'ignore', timeoutSeconds = 30 } = options;
    const stdio: StdioOptions = [input, output, 'inherit', 'ipc'];
    const [command, ...args] = [...prefix, process.execPath, scriptPath];
    this.timeoutSeconds = timeoutSeconds;
    this.signal = options.signal;
    this.signal?.addEventListener('abort', () => void this.stop());
    this.start = () => spawn(command, args, { stdio });
    this.child = this.start();
    this.exited = rejectAtExit(this.child);
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new NbdError('NBDCORK_BENCH', 'A process did not start.');
    return pid;
  }

  /**
   * Send a request that is expected to take `seconds`.
   * @throws NbdError `NBDCORK_BENCH` if the request fails, the process exits, or the response is late.
   * @throws the signal's reason if it is aborted.
   */
  async request<Type extends Request['type']>(
    request: Request & { readonly type: Type },
    seconds = 0,
  ): Promise<Responses[Type]> {
    this.signal?.throwIfAborted();
    if (this.hasExited) {
      this.child = this.start();
      this.exited = rejectAtExit(this.child);
    }
    const { value, failure } = await this.responseTo(request, seconds);
    if (failure !== undefined) throw new NbdError('NBDCORK_BENCH', failure);
    // The process runs our own script, so the value has the declared type.
    return value as Responses[Type];
  }

  /** Kill the process. Settles when it has exited. */
  async stop(): Promise<void> {
    if (this.hasExited) return;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exit;
  }

  private get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private async responseTo(request: Request, seconds: number): Promise<Response> {
    const { child } = this;
    const settled = new AbortController();
    const response = once(child, 'message', settled) as Promise<[Response]>;
    const sendFailed = new Promise<never>((_, reject) => {
      child.send(request, (error) => {
        if (error !== null) reject(error);
      });
    });
    const timeout = rejectAfter(seconds + this.timeoutSeconds, settled.signal);
    try {
      const [found] = await Promise.race([response, this.exited, sendFailed, timeout]);
      return found;
    } catch (error) {
      // A late response would be taken for that of the next request.
      await this.stop();
      throw error;
    } finally {
      settled.abort();
    }
  }
}

function rejectAtExit(child: ChildProcess): Promise<never> {
  const exited = once(child, 'exit').then(([status]: (number | null)[]) => {
    throw new NbdError(
      'NBDCORK_BENCH',
      `A process of the benchmark exited: ${status ?? 'killed'}.`,
    );
  });
  // Reported by the request in progress, if there is one.
  exited.catch(() => undefined);
  return exited;
}

async function rejectAfter(seconds: number, signal: AbortSignal): Promise<never> {
  await setTimeout(seconds * 1000, undefined, { signal });
  throw new NbdError('NBDCORK_BENCH', `No response within ${seconds} s: the server hangs.`);
}

/** In the worker: send what `handle` returns, or why it fails. */
export async function respond(handle: () => unknown): Promise<void> {
  let response: Response;
  try {
    response = { value: await handle() };
  } catch (error) {
    response = { failure: messageOf(error) };
  }
  process.send?.(response);
}

/** In the worker: exit with the parent. */
export function exitWithParent(): void {
  process.on('disconnect', () => process.exit());
}
