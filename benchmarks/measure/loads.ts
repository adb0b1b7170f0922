/** The processes of the load, one for each candidate of a row. Callers: bench.ts, selfcheck.ts. */
import { fileURLToPath } from 'node:url';
import { WorkerProcess } from './worker-process.js';
import type { Load } from './candidate-run.js';
import type { LoadResponses, LoadRequest } from '../load/messages.js';
import { shuffled } from '../statistics/statistics.js';

const loadPath = fileURLToPath(new URL('../load/main.js', import.meta.url));

/** Some that are started alike, when they are needed, and used again and again. */
export class Loads {
  private readonly all: Load[] = [];
  private readonly prefix: readonly string[];
  private readonly signal: AbortSignal | undefined;

  /** Aborted, they end. What they were asked fails with them, so servers are stopped as well. */
  constructor(prefix: readonly string[], signal?: AbortSignal) {
    this.prefix = prefix;
    this.signal = signal;
  }

  /** Each call gives another one, by chance, so that what a process is like favours nobody. */
  deal(count: number): () => Load {
    while (this.all.length < count) {
      const { prefix, signal } = this;
      this.all.push(
        new WorkerProcess<LoadRequest, LoadResponses>(loadPath, {
          prefix,
          ...(signal !== undefined && { signal }),
        }),
      );
    }
    const order = shuffled(this.all.slice(0, count));
    return () => {
      const load = order.pop();
      if (load === undefined) throw new RangeError(`Only ${count} loads were dealt.`);
      return load;
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((load) => load.stop()));
  }
}
