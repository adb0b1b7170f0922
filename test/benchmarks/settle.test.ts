/** When more rounds are worth their time, of gains worked out by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Compared } from '../../benchmarks/comparisons.js';
import type { Gain } from '../../benchmarks/results.js';
import { doubtOf, unsettledOf } from '../../benchmarks/settle.js';
import { ours, workload } from './support/results.js';

/** Of an average and half an interval, both as logarithms. */
function gain(average: number, error: number): Gain {
  return {
    average: Math.expm1(average),
    low: Math.expm1(average - error),
    high: Math.expm1(average + error),
    worst: -1,
    best: 1,
    verdict: 'no difference shown',
  };
}

const least = Math.log(1.03);

describe('a verdict', () => {
  test('is settled where twice the error would not reach the least difference', () => {
    assert.ok(doubtOf(gain(least + 0.2, 0.099)) < 1);
    assert.ok(doubtOf(gain(least + 0.2, 0.101)) > 1);
    assert.ok(doubtOf(gain(-least - 0.2, 0.099)) < 1);
    assert.ok(doubtOf(gain(-least - 0.2, 0.101)) > 1);
  });

  test('of no difference is settled where the interval leaves no large one', () => {
    assert.ok(doubtOf(gain(0, 3 * least - 0.001)) < 1);
    assert.ok(doubtOf(gain(0, 3 * least + 0.001)) > 1);
    assert.ok(doubtOf(gain(-0.02, 3 * least - 0.021)) < 1);
    assert.ok(doubtOf(gain(-0.02, 3 * least - 0.019)) > 1);
  });

  test('without a gain is not', () => {
    assert.equal(doubtOf(null), Infinity);
  });
});

describe('a row', () => {
  const plain: Compared = { contender: ours('plain'), speeds: [[100], [100], [100], [100]] };
  const clear: Compared = { contender: ours('batched'), speeds: [[300], [301], [300], [300]] };
  const unclear: Compared = { contender: ours('more'), speeds: [[100], [120], [100], [120]] };

  test('of clear verdicts is settled', () => {
    assert.equal(unsettledOf(workload, [plain, clear]), undefined);
  });

  test('names those that are in doubt', () => {
    const found = unsettledOf(workload, [plain, clear, unclear]);
    assert.deepEqual(found?.contenders, [unclear, plain]);
    assert.ok(found.doubt > 1);
  });

  test('counts rounds that both have had', () => {
    const longer: Compared = { contender: ours('plain'), speeds: [...plain.speeds, [100]] };
    const missing: Compared = { contender: ours('more'), speeds: [[], [], ...unclear.speeds] };
    assert.deepEqual(unsettledOf(workload, [longer, clear, unclear])?.contenders, [
      unclear,
      longer,
    ]);
    assert.equal(
      unsettledOf(workload, [plain, clear, missing])?.doubt,
      unsettledOf(workload, [plain, clear, { ...unclear, speeds: [[], [], [100], [120]] }])?.doubt,
    );
  });

  test('of nobody or of one is settled', () => {
    assert.equal(unsettledOf(workload, []), undefined);
    assert.equal(unsettledOf(workload, [plain]), undefined);
  });
});
