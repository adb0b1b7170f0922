/** RESULTS.md says what was measured: each of its figures is in the JSON behind it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Results } from '../../benchmarks/results.js';
import { figuresNotIn } from './support/figures.js';
import { runs as published, text } from './support/published.js';
import { sentences, tallies } from './support/sentences.js';

const runs = [...published.values()];

/** Numbers of the text that are no measurement. */
const constants = [
  ...['4 KiB', '64 KiB', '512-byte', '64 requests', '64 at a time', 'MTU of 1500'],
  ...['99 %', '85 %', 'as 0 after', 'June 2019', '1,000 extents'],
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
  const counts = [...sentences, ...tallies.flat()];
  assert.deepEqual(figuresNotIn(text, all, [...constants, ...commands, ...counts]), []);
});
