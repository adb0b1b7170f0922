/** What the benchmark makes of samples that are made up, whose truth is known. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mean, meanError, middleMean, outliersOf, shuffled } from '../statistics/statistics.js';
import { normal, randomNumbers } from './support/random.js';

describe('the mean and its error', () => {
  test('of samples worked out by hand', () => {
    // A mean of 5, squares 9+1+1+9 = 20, a deviation of sqrt(20/3), t(3) = 3.182446.
    const values = [2, 4, 6, 8];
    assert.equal(mean(values), 5);
    const expected = (3.182446 * Math.sqrt(20 / 3)) / 2;
    assert.ok(Math.abs(meanError(values) - expected) < 1e-3);
    // t(3) = 5.840909 for 99 %.
    const wider = (5.840909 * Math.sqrt(20 / 3)) / 2;
    assert.ok(Math.abs(meanError(values, 0.99) - wider) < 1e-3);
  });

  test('of the middle half, worked out by hand', () => {
    // 4 and 6 count: a mean of 5. Pulled in, all are 4, 4, 6, 6: squares 1+1+1+1, a standard
    // error of sqrt(4/3/4), of which half the samples are the share; t(1) = 12.706205.
    const { average, error } = middleMean([1000, 4, -1000, 6]);
    assert.equal(average, 5);
    assert.ok(Math.abs(error - (12.706205 * Math.sqrt(4 / 3 / 4)) / 0.5) < 1e-3);
  });

  test('one sample has no error that is known', () => {
    assert.equal(meanError([1]), Infinity);
    assert.deepEqual(middleMean([1]), { average: 1, error: Infinity });
  });

  test('the interval holds the truth 95 times of 100', () => {
    const random = randomNumbers(7);
    for (const count of [3, 6, 10, 40]) {
      let held = 0;
      for (let repetition = 0; repetition < 2000; repetition++) {
        const values = Array.from({ length: count }, () => 10 + normal(random));
        if (Math.abs(mean(values) - 10) <= meanError(values)) held++;
      }
      assert.ok(held > 1870 && held < 1930, `${count} samples: ${held} of 2000`);
    }
  });

  test('that of the middle half does, where samples are many', () => {
    const random = randomNumbers(8);
    let held = 0;
    for (let repetition = 0; repetition < 2000; repetition++) {
      const { average, error } = middleMean(Array.from({ length: 20 }, () => 10 + normal(random)));
      if (Math.abs(average - 10) <= error) held++;
    }
    assert.ok(held > 1870 && held < 1960, `${held} of 2000`);
  });
});

describe('a outlier', () => {
  test('is none where the others are as far from each other', () => {
    const none = Array<boolean>(7).fill(false);
    assert.deepEqual(outliersOf([100, 90, 110, 120, 80, 60, 130]), none);
    assert.deepEqual(outliersOf([100, 99, 101, 102, 98, 60, 103]).indexOf(true), 5);
  });

  test('is a sample far below the median of its series', () => {
    assert.deepEqual(outliersOf([100, 84, 86, 100, 1000, 101, 99]), [
      ...[false, true, false, false, false, false, false],
    ]);
  });

  test('cannot be told among four', () => {
    assert.deepEqual(outliersOf([100, 100, 100, 1]), [false, false, false, false]);
  });

  test('is not what more than a third of the samples are', () => {
    const none = [false, false, false, false, false, false];
    assert.deepEqual(outliersOf([10, 10, 10, 100, 100, 100]), none);
    assert.deepEqual(outliersOf([10, 10, 10, 100, 100, 100, 100]), [...none, false]);
    assert.equal(outliersOf([10, 10, 100, 100, 100, 100]).filter(Boolean).length, 2);
  });
});

test('every order is as likely as any other', () => {
  const random = randomNumbers(6);
  const counts = new Map<string, number>();
  for (let repetition = 0; repetition < 6000; repetition++) {
    const order = shuffled(['a', 'b', 'c'], random).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 6);
  for (const [order, count] of counts) assert.ok(count > 850 && count < 1150, `${order}: ${count}`);
});
