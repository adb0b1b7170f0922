/** When more rounds are worth their time, of gains worked out by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Compared } from '../statistics/comparisons.js';
import type { Gain, Strategy } from '../results.js';
import { doubtOf, unsettledOf } from '../measure/settle.js';
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
    assert.ok(doubtOf(gain(0, 2 * least - 0.001)) < 1);
    assert.ok(doubtOf(gain(0, 2 * least + 0.001)) > 1);
    assert.ok(doubtOf(gain(-0.02, 2 * least - 0.021)) < 1);
    assert.ok(doubtOf(gain(-0.02, 2 * least - 0.019)) > 1);
  });

  test('of no difference is settled where far more would have to be measured to show one', () => {
    assert.ok(doubtOf(gain(least + 0.009, 0.019)) < 1);
    assert.ok(doubtOf(gain(-least - 0.009, 0.019)) < 1);
    assert.ok(doubtOf(gain(least + 0.009, 0.017)) > 1);
  });

  test('is not settled at the border, however narrow the interval is', () => {
    assert.ok(doubtOf(gain(0.06, 0.028)) > 1);
    assert.ok(doubtOf(gain(least + 0.001, 0.001)) > 1);
  });

  test('without a gain is not', () => {
    assert.equal(doubtOf(null), Infinity);
  });
});

describe('a row', () => {
  /** Of runs of a turn and a second each. */
  const of = (strategy: Strategy, ...speeds: number[]): Compared => ({
    candidate: ours(strategy),
    speeds: speeds.map((one) => [one]),
    seconds: speeds.map(() => 1),
  });
  const plain = of('plain', 100, 100, 100, 100);
  const clear = of('batched', 300, 301, 300, 300);
  const unclear = of('more', 100, 120, 100, 120);

  test('of clear verdicts is settled', () => {
    assert.equal(unsettledOf(workload, [plain, clear]), undefined);
  });

  test('without two turns to compare misses no end of time', () => {
    const [one, other] = [of('plain', 100), of('more', 100)];
    const none = unsettledOf(workload, [{ ...one, seconds: [0] }, other]);
    assert.equal(none?.secondsMissing, Infinity);
  });

  test('can be made surer than it has to be', () => {
    const sure = of('more', 130, 131, 130, 131);
    assert.equal(unsettledOf(workload, [plain, sure], Infinity, 1), undefined);
    const found = unsettledOf(workload, [plain, sure], Infinity, 0.01);
    assert.deepEqual(found?.candidates, [sure, plain]);
  });

  test('names those that are in doubt', () => {
    assert.deepEqual(unsettledOf(workload, [plain, clear, unclear])?.candidates, [unclear, plain]);
  });

  const missingOf = (more: Compared): number =>
    unsettledOf(workload, [plain, more])?.secondsMissing ?? 0;

  test('more time is missing where there is more doubt', () => {
    assert.equal(missingOf(of('more', 130, 131, 130, 131)), 0);
    const little = missingOf(of('more', 120, 110, 120, 110));
    assert.ok(little > 0);
    assert.ok(missingOf(of('more', 140, 90, 140, 90)) > little);
  });

  test('it is a multiple of the time that both were measured', () => {
    const short = of('more', 120, 110, 120, 110);
    const long = { ...short, seconds: [3, 3, 3, 3] };
    assert.equal(missingOf(long), missingOf(short));
    const both = unsettledOf(workload, [{ ...plain, seconds: [3, 3, 3, 3] }, long]);
    assert.equal(both?.secondsMissing, 3 * missingOf(short));
  });

  test('leaves alone what takes too long, where there is something else', () => {
    const near = of('stream', 120, 110, 120, 110);
    const far = of('more', 130, 80, 130, 80);
    assert.equal(unsettledOf(workload, [plain, near, far])?.candidates.length, 3);
    const secondsMax = missingOf({ ...near, candidate: ours('more') }) / 2;
    assert.deepEqual(unsettledOf(workload, [plain, near, far], secondsMax)?.candidates, [
      near,
      plain,
    ]);
    assert.deepEqual(unsettledOf(workload, [plain, far], 1)?.candidates, [far, plain]);
  });

  test('counts rounds that both have had', () => {
    const late = of('more', 0, 0, 100, 120, 100);
    const speeds = late.speeds.map((turns, round) => (round < 2 ? [] : turns));
    const missing = { ...late, speeds, seconds: [0, 0, 1, 1, 1] };
    const short = { ...missing, speeds: speeds.slice(0, 4), seconds: [0, 0, 1, 1] };
    assert.ok(missingOf(missing) > 0);
    assert.equal(missingOf(missing), missingOf(short));
  });

  test('without a pair to compare it is settled', () => {
    assert.equal(unsettledOf(workload, []), undefined);
    assert.equal(unsettledOf(workload, [plain]), undefined);
  });
});
