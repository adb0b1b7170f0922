/**
 * `npm run bench:results` generates benchmarks/RESULTS.md. With arguments such as
 * `full=bench-report/results.json` it first replaces results/full.json by that run.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Results } from '../results.js';
import { resultsDocument } from './document.js';
import { publishedText, reduce } from './reduce.js';

const benchmarks = fileURLToPath(new URL('../../../benchmarks/', import.meta.url));
const folder = join(benchmarks, 'results');

for (const argument of process.argv.slice(2)) {
  const [, name, path] = /^([\w-]+)=(.+)$/.exec(argument) ?? [];
  if (name === undefined || path === undefined) {
    throw new Error(`Invalid argument '${argument}': expected NAME=PATH of a results.json.`);
  }
  const results = JSON.parse(await readFile(path, 'utf8')) as Results;
  await writeFile(join(folder, `${name}.json`), publishedText(reduce(results)));
}
await writeFile(join(benchmarks, 'RESULTS.md'), await resultsDocument(folder));
