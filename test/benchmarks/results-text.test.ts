/** RESULTS.md says what was measured: each of its figures is in the JSON behind it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Results } from '../../benchmarks/results.js';
import { figuresNotIn } from './support/figures.js';

const folder = fileURLToPath(new URL('../../../benchmarks/', import.meta.url));
const runs = readdirSync(join(folder, 'results')).map(
  (name) => JSON.parse(readFileSync(join(folder, 'results', name), 'utf8')) as Results,
);

/** Numbers of the text that are no measurement. */
const constants = [
  ...['4 KiB', '64 KiB', '512-byte', '512 bytes', '64 requests', '64 at a time', 'MTU of 1500'],
  ...['99 %', '85 %', 'as 0 after', 'June 2019', '20 of 20'],
];

test('every figure of RESULTS.md is in the results', () => {
  const [first, ...others] = runs;
  assert.ok(first !== undefined);
  const all: Results = {
    ...first,
    trials: runs.flatMap(({ trials }) => trials),
    comparisons: runs.flatMap(({ comparisons }) => comparisons),
    micro: runs.flatMap(({ micro }) => micro),
  };
  const commands = others.map(({ command }) => command);
  const text = readFileSync(join(folder, 'RESULTS.md'), 'utf8');
  assert.deepEqual(figuresNotIn(text, all, [...constants, ...commands]), []);
});
