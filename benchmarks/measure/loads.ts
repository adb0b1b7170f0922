/** The load generator processes, one for each candidate of a row. */
import { fileURLToPath } from 'node:url';
import { WorkerProcess } from './worker-process.js';
import type { Load } from './candidate-run.js';
import type { LoadResponses, LoadRequest } from '../load/messages.js';
import { shuffled } from '../statistics/statistics.js';

const loadPath = fileURLToPath(new URL('../load/main.js', import.meta.url));

/** Processes that are started on demand and reused. */
export class Loads {
  private readonly all: Load[] = [];
  private readonly prefix: readonly string[];
  private readonly signal: AbortSignal | undefined;

  /** `signal` ends them when aborted. Their requests then fail, which stops the servers too. */
  constructor(prefix: readonly string[], signal?: AbortSignal) {
    this.prefix = prefix;
    this.signal = signal;
  }

  /** Each call returns another process, in random order, so that no candidate always has the same. */
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
      if (load === undefined) throw new RangeError(`More than ${count} load generators requested.`);
      return load;
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((load) => load.stop()));
  }
}
