/** The benchmark as `nbdcork bench` and `npm run bench` have it. */
import { resolve } from 'node:path';
import { bench, type BenchOptions } from './bench.js';
import type { Results } from './results.js';
import { ProgressBar, skippedLines, trialsTable } from './terminal.js';

export interface RunOptions extends Omit<BenchOptions, 'progress'> {
  /** The folder of the report. */
  readonly output: string;
}

/** Measure, print the table, and write the report. False where it was stopped before. */
export async function runBenchmark({ output, ...options }: RunOptions): Promise<boolean> {
  const bar = new ProgressBar();
  let results: Results;
  try {
    results = await bench({ ...options, progress: bar.show });
  } catch (error) {
    if (options.signal.aborted) return false;
    throw error;
  } finally {
    bar.stop();
  }
  // Drawing takes modules that measuring should not have to load.
  const { writeReport } = await import('./report/index.js');
  await writeReport(results, output);
  process.stderr.write(skippedLines(results));
  process.stdout.write(`${trialsTable(results)}\n\nThe report is in ${resolve(output)}.\n`);
  return true;
}
