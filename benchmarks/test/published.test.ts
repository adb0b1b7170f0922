/** RESULTS.md, and the results that it is generated from. */
import assert from 'node:assert/strict';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { resultsDocument } from '../published/document.js';
import { publishedText, reduce } from '../published/reduce.js';
import { ours, results, sample, trial } from './support/results.js';

const benchmarks = fileURLToPath(new URL('../../../benchmarks/', import.meta.url));
const folder = join(benchmarks, 'results');

test('RESULTS.md is up to date', async () => {
  const [generated, committed] = await Promise.all([
    resultsDocument(folder),
    readFile(join(benchmarks, 'RESULTS.md'), 'utf8'),
  ]);
  assert.equal(committed, generated, 'Run npm run bench:results.');
});

test('reducing keeps recorded gains and adds those over stream', () => {
  const turns = (speed: number) =>
    [0, 1, 2].map((round) => sample(speed, { round, turns: [speed, speed] }));
  const stream = trial(ours('stream'), { samples: turns(50_000) });
  const vectored = trial(ours('vectored'), { samples: turns(25_000) });
  const reduced = reduce({ ...results, trials: [...results.trials, stream, vectored] });
  const row = reduced.rows.find(({ workload }) => workload.link === 'tcp');
  const gainsOf = (name: string) =>
    row?.candidates.find((candidate) => candidate.name === name)?.gains;
  assert.equal(gainsOf('batched')?.['plain']?.average, 0.853);
  assert.equal(gainsOf('batched')?.['nbdkit']?.average, 0.667);
  assert.equal(gainsOf('vectored')?.['stream']?.average, -0.5);
  assert.equal(gainsOf('vectored')?.['stream']?.verdict, 'slower');
  assert.ok(!publishedText(reduced).includes('turns'));
  assert.deepEqual(JSON.parse(publishedText(reduced)), reduced);
});

test('the published results have at most 500 kB', async () => {
  const sizes = (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size);
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= 500_000, `${bytes} bytes`);
});
