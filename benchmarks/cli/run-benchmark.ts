/** Measures, prints the tables and writes the report. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bench, type BenchOptions } from '../measure/bench.js';
import { makeFolder, removeFolders } from './output-folder.js';
import { gainNote, outlierNote } from '../report/notes.js';
import type { Results } from '../results.js';
import {
  comparisonsTable,
  microTable,
  ProgressBar,
  skippedLines,
  trialsTable,
} from './terminal.js';

/** `failed`: a strategy or a named server failed; the others are reported. */
export type Outcome = 'complete' | 'interrupted' | 'failed';

export interface RunOptions extends Omit<BenchOptions, 'progress'> {
  /** The folder of the report. */
  readonly output: string;
}

/**
 * Measure, print the table, and write the report.
 * @throws NbdError `NBDCORK_BENCH`, before anything is measured, where the report cannot be written.
 */
export async function runBenchmark({ output, ...options }: RunOptions): Promise<Outcome> {
  const folder = resolve(output);
  const made = await makeFolder(folder);
  const replaces = existsSync(join(folder, 'results.json'));
  const bar = new ProgressBar();
  let results: Results;
  try {
    results = await bench({ ...options, progress: bar.show });
    if (results.interrupted) bar.stop();
    else bar.complete();
  } catch (error) {
    bar.stop();
    await removeFolders(made).catch(() => {
      process.stderr.write(`${folder} was created for the report and could not be removed.\n`);
    });
    if (!options.signal.aborted) throw error;
    process.stderr.write('Stopped before there were results.\n');
    return 'interrupted';
  }
  process.stderr.write(skippedLines(results));
  if (results.trials.length > 0) {
    process.stdout.write(`${trialsTable(results)}\n\n`);
  }
  if (results.comparisons.length > 0) {
    process.stdout.write(`${comparisonsTable(results)}\n\n`);
  }
  if (results.trials.length > 0) process.stdout.write(`${gainNote} ${outlierNote}\n\n`);
  if (results.micro.length > 0) process.stdout.write(`${microTable(results)}\n\n`);
  // Loaded late: measuring does not need these modules.
  const { writeReport } = await import('../report/index.js');
  await writeReport(results, folder);
  process.stdout.write(
    `The report is in ${folder}${replaces ? ', replacing an earlier one' : ''}.\n`,
  );
  if (results.interrupted) {
    process.stderr.write('Stopped before all runs were done: the results are incomplete.\n');
    return 'interrupted';
  }
  const failed = results.skipped.filter((skipped) => skipped.failed).length;
  if (failed === 0) return 'complete';
  process.stderr.write(
    `${failed} ${failed === 1 ? 'trial' : 'trials'} failed: see what was not measured.\n`,
  );
  return 'failed';
}
