/** What a person at the terminal reads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { comparisonsTable, trialsTable } from '../cli/terminal.js';
import { ours, results, sample, trial } from './support/results.js';

/** The titles of the columns, and the cells of the first row. */
function headAndFirst(table: string): string[][] {
  return [0, 2].map((line) =>
    (table.split('\n')[line] ?? '')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe('the table of trials', () => {
  test('has calls and segments where some trial has them', () => {
    const [head, first] = headAndFirst(trialsTable(results));
    assert.deepEqual(
      head?.map((title, index) => [title, first?.[index]]),
      [
        ['', 'tcp read-4k, 1 × 64, simple'],
        ['by', 'batched'],
        ['requests/s (± 95 %)', '75450 ± 14612'],
        ['gain over plain (99 % interval)', '+85.3 % (+82.1 % to +88.4 %)'],
        ['', 'faster'],
        ['calls', '0.06'],
        ['segments', '0.06'],
        ['server µs', '9.88'],
        ['client µs', '6.56'],
        ['p50 µs', '833'],
        ['p99 µs', '1290'],
      ],
    );
  });

  test('leaves them out where none has, as with fio', () => {
    const trials = [trial(ours('plain'), { samples: [sample(100)] })];
    const [head = []] = headAndFirst(trialsTable({ ...results, trials }));
    assert.ok(head.includes('server µs'));
    assert.ok(!head.includes('calls') && !head.includes('segments'));
  });
});

test('the table of comparisons names both candidates', () => {
  const [head, first] = headAndFirst(comparisonsTable(results));
  assert.deepEqual(head, ['', 'of', 'over', 'gain (99 % interval)', '']);
  assert.deepEqual(first, [
    'tcp read-4k, 1 × 64, simple',
    'batched',
    'nbdkit',
    '+66.7 % (+64.2 % to +69.1 %)',
    'faster',
  ]);
});
