/** What is concluded from the turns of two that are made up, whose truth is known. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gainOver } from '../statistics/gain.js';
import type { Gain } from '../results.js';
import { normal, randomNumbers } from './support/random.js';

interface Noise {
  /** How often a sample is several times too slow. */
  readonly outliers?: number;
  /** Of a sample by itself, relative to the speed. */
  readonly each: number;
  /** Of a round, which slows down all that is measured in it. */
  readonly round: number;
}

/** Speeds of two candidates in `rounds` rounds, the second `factor` times as fast. */
function speeds(random: () => number, factor: number, noise: Noise, rounds = 9) {
  const plain: number[] = [];
  const other: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const speed = 100_000 * Math.exp(noise.round * normal(random));
    const sample = (): number => {
      const outlier = random() < (noise.outliers ?? 0) ? 0.2 : 1;
      return speed * outlier * Math.exp(noise.each * normal(random));
    };
    plain.push(sample());
    other.push(factor * sample());
  }
  return { plain, other };
}

/** Of runs of one turn each. */
function gainOf(plain: readonly number[], others: readonly number[]): Gain {
  const gain = gainOver(
    plain.map((speed) => [speed]),
    others.map((speed) => [speed]),
  );
  assert.ok(gain !== null);
  return gain;
}

function verdicts(factor: number, noise: Noise, repetitions: number, rounds?: number): string[] {
  const random = randomNumbers(4);
  return Array.from({ length: repetitions }, () => {
    const { plain, other } = speeds(random, factor, noise, rounds);
    return gainOf(plain, other).verdict;
  });
}

const noisy: Noise = { each: 0.05, round: 0.3 };

describe('the gain', () => {
  test('twice as fast in one round and half as fast in the other is none', () => {
    const gain = gainOf([100, 100], [200, 50]);
    assert.ok(Math.abs(gain.average) < 1e-12);
    assert.deepEqual(
      [gain.worst, gain.best].map((value) => value.toFixed(6)),
      ['-0.500000', '1.000000'],
    );
    assert.equal(gain.verdict, 'no difference shown');
  });

  test('is by pairs: what slows down both does not count', () => {
    const gain = gainOf([100, 10, 1000, 50], [110, 11, 1100, 55]);
    assert.ok(Math.abs(gain.average - 0.1) < 1e-9);
    assert.ok(gain.high - gain.low < 1e-6);
    assert.equal(gain.verdict, 'faster');
  });

  test('leaves outliers out, with the sample beside them', () => {
    const plain = [100, 100, 20, 100, 100, 100];
    const others = [110, 15, 110, 111, 109, 110];
    const gain = gainOf(plain, others);
    assert.ok(Math.abs(gain.average - 0.1) < 0.001);
    assert.ok(gain.worst < -0.8 && gain.best > 4);
    assert.equal(gain.verdict, 'faster');
  });

  test('is by turns, of which those that belong together are compared', () => {
    const plain = [
      [100, 10],
      [1000, 50],
    ];
    const gain = gainOver(plain, [
      [110, 11],
      [1100, 55],
    ]);
    assert.ok(gain !== null && Math.abs(gain.average - 0.1) < 1e-9 && gain.high - gain.low < 1e-6);
    const missing = gainOver(plain, [[110, 11], [1100, 55], [7]]);
    assert.ok(missing !== null && Math.abs(missing.average - 0.1) < 1e-9);
  });

  test('is as unsure as its runs where their turns are like each other', () => {
    const plain = Array.from({ length: 4 }, () => Array<number>(5).fill(100));
    const others = [100, 120, 100, 120].map((speed) => Array<number>(5).fill(speed));
    const gain = gainOver(plain, others);
    // Logarithms of 0 and 0.182322 twice each: s = 0.105263, of four runs half of it, by 2.5758,
    // and twice as much, since half of the turns are counted.
    assert.ok(gain !== null);
    const error = Math.log1p(gain.high) - Math.log1p(gain.average);
    assert.ok(Math.abs(error - 2.5758 * 2 * 0.0526316) < 1e-4, String(error));
  });

  test('worst and best are of runs, not of turns', () => {
    const gain = gainOver(
      [
        [100, 100],
        [100, 100],
      ],
      [
        [400, 100],
        [50, 50],
      ],
    );
    assert.deepEqual(
      [gain?.worst, gain?.best].map((value) => value?.toFixed(6)),
      ['-0.500000', '1.000000'],
    );
  });

  test('leaves out turns that are outliers, wherever they are', () => {
    const plain = [
      [100, 101],
      [100, 99, 100],
      [20, 100],
    ];
    const gain = gainOver(
      plain,
      plain.map((turns, run) =>
        turns.map((speed, turn) => (run === 1 && turn === 1 ? 9 : 1.1 * speed)),
      ),
    );
    assert.ok(gain !== null && Math.abs(gain.average - 0.1) < 1e-9);
  });

  test('of one pair of turns is unknown', () => {
    assert.equal(gainOver([[100]], [[200]]), null);
    assert.equal(gainOver([[100], [100]], [[200]]), null);
  });

  test('the average lies between worst and best where each run has a outlier', () => {
    const plain = Array.from({ length: 4 }, () => [100, 100, 100, 100]);
    const others = Array.from({ length: 4 }, (_, run) => [111, 110, run === 0 ? 20 : 109, 110]);
    const gain = gainOver(plain, others);
    assert.ok(gain !== null && gain.worst <= gain.average && gain.average <= gain.best);
  });

  test('the average lies within its interval, and between worst and best', () => {
    const random = randomNumbers(5);
    for (let repetition = 0; repetition < 100; repetition++) {
      const { plain, other } = speeds(random, 1.3, noisy);
      const { low, average, high, worst, best } = gainOf(plain, other);
      assert.ok(low < average && average < high && worst < average && average < best);
    }
  });
});

describe('of many turns', () => {
  /** As logarithms, in a run each `size` of them. */
  const gainOfRatios = (ratios: readonly number[], size = ratios.length): Gain => {
    const runs = Array.from({ length: ratios.length / size }, (_, run) =>
      ratios.slice(run * size, (run + 1) * size),
    );
    const gain = gainOver(
      runs.map((turns) => turns.map(() => 1000)),
      runs.map((turns) => turns.map((ratio) => 1000 * Math.exp(ratio))),
    );
    assert.ok(gain !== null);
    return gain;
  };
  const assertNear = (actual: number, expected: number): void => {
    assert.ok(Math.abs(actual - expected) < 1e-4, `${actual}, not ${expected}`);
  };
  const twelve = [-9, 0.1, 0.4, 0.2, 0.3, 0.5, 0.6, 0.1, 0.2, 7, 0.5, 8];

  test('the middle half is averaged', () => {
    // Sorted: -9 .1 .1 | .2 .2 .3 .4 .5 .5 | .6 7 8.
    assertNear(Math.log1p(gainOfRatios(twelve).average), 2.1 / 6);
  });

  test('the rest is as far away as the outermost of it, for the error', () => {
    // .2 five times, .3, .4, .5 five times: a mean of .35, squares .23 of 11, of 12; t(5) = 4.0321.
    const { average, high } = gainOfRatios(twelve);
    const deviation = Math.sqrt(0.23 / 11 / 12);
    assertNear(Math.log1p(high) - Math.log1p(average), 4.0321 * deviation * 2);
  });

  test('worst and best are of runs, also of those of which the average counts nothing', () => {
    const { worst, best } = gainOfRatios([...twelve.slice(1, 9), 9, 9, 9, 9, -9, -9, -9, -9], 4);
    // Sixteen: the lowest four, the highest four and as many ones of two runs in between.
    assertNear(Math.log1p(worst), -9);
    assertNear(Math.log1p(best), 9);
  });

  test('worst and best are each of the middle half of a run', () => {
    // The second run is the first one moved by a quarter, its outermost further away.
    const other = twelve.map((ratio) => (Math.abs(ratio) > 1 ? 2 * ratio : ratio + 0.25));
    const { worst, best } = gainOfRatios([...twelve, ...other], 12);
    assertNear(Math.log1p(worst), 2.1 / 6);
    assertNear(Math.log1p(best), 2.1 / 6 + 0.25);
  });

  test('outliers among few are those of what is compared', () => {
    // One of six short turns is slow; their average is no outlier, as a long turn would be none.
    const short = [100, 100, 100, 100, 100, 40];
    const runs = Array.from({ length: 8 }, () => short);
    const gain = gainOver(
      runs.map(() => [90]),
      runs,
    );
    assertNear(Math.log1p(gain?.average ?? NaN), 0);
  });

  test('of fewer than twelve all count', () => {
    assertNear(Math.log1p(gainOfRatios(twelve.slice(1, 9)).average), 2.4 / 8);
  });

  test('one that has several in the time of one is averaged over them', () => {
    const gain = gainOver([[100, 100]], [[100, 110, 120, 200, 200, 260]]);
    assertNear(Math.log1p(gain?.average ?? NaN), (Math.log(1.1) + Math.log(2.2)) / 2);
  });

  test('many are disturbed, and the error is small', () => {
    const random = randomNumbers(8);
    const errors = [0, 0.4].map((disturbed) => {
      const turn = (): number =>
        1000 * Math.exp(0.02 * normal(random)) * (random() < disturbed ? random() : 1);
      const speeds = () => [1, 2, 3].map(() => Array.from({ length: 30 }, turn));
      const gain = gainOver(speeds(), speeds());
      return (gain?.high ?? NaN) - (gain?.low ?? NaN);
    });
    const [quiet = NaN, loud = NaN] = errors;
    // Of all of them it would be some 10 times as wide: a deviation of 0.5 instead of 0.02.
    assert.ok(quiet < 0.03 && loud < 0.25, `${quiet} ${loud}`);
  });

  test('copies that are disturbed are no different, in 98 of 100 at least', () => {
    const random = randomNumbers(9);
    let right = 0;
    for (let repetition = 0; repetition < 1000; repetition++) {
      const turn = (): number => 1000 * (random() < 0.4 ? random() : 1);
      const speeds = () => [1, 2, 3].map(() => Array.from({ length: 30 }, turn));
      if (gainOver(speeds(), speeds())?.verdict === 'no difference shown') right++;
    }
    assert.ok(right >= 980, `${right} of 1000`);
  });
});

describe('the verdict', () => {
  test('two copies of the same: no difference shown, in 98 of 100 at least', () => {
    for (const rounds of [3, 6, 9]) {
      const found = verdicts(1, noisy, 1000, rounds);
      const right = found.filter((verdict) => verdict === 'no difference shown').length;
      assert.ok(right >= 980, `${rounds} rounds: ${right} of 1000`);
    }
  });

  test('two copies of the same in spite of outliers: likewise', () => {
    const found = verdicts(1, { each: 0.05, round: 0.05, outliers: 0.1 }, 1000);
    assert.ok(found.filter((verdict) => verdict === 'no difference shown').length >= 970);
  });

  test('a quarter slower is seen in spite of outliers', () => {
    const found = verdicts(0.75, { each: 0.05, round: 0.05, outliers: 0.1 }, 1000);
    assert.ok(found.filter((verdict) => verdict === 'slower').length >= 950);
    assert.ok(!found.includes('faster'));
  });

  test('a quarter slower: slower, in 19 of 20 at least, and never faster', () => {
    const found = verdicts(0.75, noisy, 1000);
    assert.ok(found.filter((verdict) => verdict === 'slower').length >= 950);
    assert.ok(!found.includes('faster'));
  });

  test('a quarter faster: likewise', () => {
    const found = verdicts(1.25, noisy, 1000);
    assert.ok(found.filter((verdict) => verdict === 'faster').length >= 950);
    assert.ok(!found.includes('slower'));
  });
});

describe('runs of which one is long', () => {
  test('are as seldom wrong, where processes differ a little', () => {
    const random = randomNumbers(13);
    const runOf = (turns: number): number[] => {
      const speed = 100_000 * Math.exp(0.01 * normal(random));
      return Array.from({ length: turns }, () => speed * Math.exp(0.05 * normal(random)));
    };
    let wrong = 0;
    for (let repetition = 0; repetition < 2000; repetition++) {
      const [plain, other] = [1, 2].map(() => [30, 30, 30, 150].map(runOf));
      const gain = gainOver(plain ?? [], other ?? []);
      if (gain?.verdict !== 'no difference shown') wrong++;
    }
    assert.ok(wrong <= 4, `${wrong} of 2000`);
  });
});

describe('less than 3 %', () => {
  test('is no difference, however sure it is', () => {
    const plain = [100, 101, 99, 100, 100];
    const with2 = plain.map((speed) => 1.02 * speed);
    assert.ok(gainOf(plain, with2).low > 0.0199);
    assert.equal(gainOf(plain, with2).verdict, 'no difference shown');
    assert.equal(gainOf(with2, plain).verdict, 'no difference shown');
  });

  test('more is one either way', () => {
    const plain = [100, 101, 99, 100, 100];
    const with4 = plain.map((speed) => 1.04 * speed);
    assert.equal(gainOf(plain, with4).verdict, 'faster');
    assert.equal(gainOf(with4, plain).verdict, 'slower');
  });

  test('of processes that differ a little by themselves, as few are wrong', () => {
    const random = randomNumbers(12);
    const runOf = (): number[] => {
      const speed = 100_000 * Math.exp(0.01 * normal(random));
      return Array.from({ length: 5 }, () => speed * Math.exp(0.02 * normal(random)));
    };
    let wrong = 0;
    for (let repetition = 0; repetition < 4000; repetition++) {
      const [plain, other] = [1, 2].map(() => Array.from({ length: 3 }, runOf));
      const gain = gainOver(plain ?? [], other ?? []);
      if (gain?.verdict !== 'no difference shown') wrong++;
    }
    assert.ok(wrong <= 8, `${wrong} of 4000`);
  });

  test('of what is equally fast, one verdict of a thousand is wrong', () => {
    for (const rounds of [4, 9, 30]) {
      const quiet: Noise = { each: 0.02, round: 0.05 };
      const wrong = verdicts(1, quiet, 4000, rounds).filter((one) => one !== 'no difference shown');
      assert.ok(wrong.length <= 4, `${rounds} rounds: ${wrong.length} of 4000`);
    }
  });
});
