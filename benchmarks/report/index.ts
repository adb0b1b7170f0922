/** The report of a run: for programs, for reading in a terminal or a repository, and for looking at. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Results } from '../results.js';
import { markdownReport } from './markdown.js';
import { pageReport } from './page.js';

/** Write `results.json`, `results.md` and `results.html` into the folder, which is made if need be. */
export async function writeReport(results: Results, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await Promise.all([
    writeFile(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`),
    writeFile(join(folder, 'results.md'), markdownReport(results)),
    writeFile(join(folder, 'results.html'), await pageReport(results)),
  ]);
}
