/** A whole plan, with samples that are made up: no server, no clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Sample } from '../results.js';
import { nameOfCandidate } from '../names.js';
import { runPlan, type RunOptions } from '../measure/run-plan.js';
import { gainOver } from '../statistics/gain.js';
import { normal, randomNumbers } from './support/random.js';
import { ours, sample, workload } from './support/results.js';

const timing = { seconds: 0.25, warmUpSeconds: 0.1, runs: 10, secondsMax: undefined };
const peer = (name: string): Candidate => ({ type: 'peer', name, version: '1' });

function run(
  candidates: readonly Candidate[],
  speedOf: (name: string) => number,
  more: Partial<RunOptions> = {},
) {
  return runPlan([{ workload, candidates }], {
    timing,
    progress: () => undefined,
    signal: new AbortController().signal,
    take: (_, entered) =>
      Promise.allSettled(
        entered.map(async (candidate) => {
          await Promise.resolve();
          return { sample: sample(speedOf(nameOfCandidate(candidate))) };
        }),
      ),
    ...more,
  });
}

describe('a sample that fails', () => {
  test('affects only its own trial, and counts as a failure if it is ours', async () => {
    const candidates = [ours('plain'), ours('cork'), peer('nbdkit')];
    const measured = await run(candidates, (name) => {
      if (name === 'plain') return 100;
      throw new Error(`no ${name}`);
    });
    assert.deepEqual(
      measured.trials.map(({ candidate, samples }) => [nameOfCandidate(candidate), samples.length]),
      [['plain', 9]],
    );
    assert.deepEqual(measured.skipped, [
      { what: 'cork: tcp read-4k, 1 × 64, simple', why: 'no cork', failed: true },
      { what: 'nbdkit: tcp read-4k, 1 × 64, simple', why: 'no nbdkit' },
    ]);
    assert.equal(measured.rounds, 9);
  });

  test('is a failure of a server of others that was asked for', async () => {
    const { skipped } = await run(
      [ours('plain'), peer('nbdkit'), peer('limit')],
      (name) => {
        if (name === 'plain') return 100;
        throw new Error(`no ${name}`);
      },
      { isNamed: (candidate) => nameOfCandidate(candidate) === 'limit' },
    );
    assert.deepEqual(
      skipped.map(({ failed }) => failed),
      [undefined, true],
    );
  });
});

test('strategies that belong together are compared, and peers with ours', async () => {
  const speed: Record<string, number> = { plain: 100, vectored: 120, batched: 180, nbdkit: 90 };
  const candidates = [ours('plain'), ours('vectored'), ours('batched'), peer('nbdkit')];
  const { comparisons, trials } = await run(candidates, (name) => speed[name] ?? NaN);
  assert.deepEqual(
    trials.map(({ gain }) => gain?.average.toFixed(6)),
    [undefined, '0.200000', '0.800000', undefined],
    'a server that is compared with batched is not with plain as well',
  );
  assert.deepEqual(
    comparisons.map(({ of, over, gain }) => [of, over, gain.average.toFixed(6)]),
    [
      ['batched', 'vectored', '0.500000'],
      ['batched', 'nbdkit', '1.000000'],
    ],
  );
});

test('the discarded run is short, without warming up', async () => {
  const asked: [number, number][] = [];
  await run([ours('plain'), ours('cork')], () => 100, {
    take: (_, entered, { seconds, warmUpSeconds }) => {
      asked.push([seconds, warmUpSeconds]);
      return Promise.allSettled(entered.map(() => Promise.resolve({ sample: sample(100) })));
    },
  });
  const counted = Array.from({ length: 9 }, () => [0.25, 0.1]);
  assert.deepEqual(asked, [[0.05, 0], ...counted]);
});

describe('a run that is interrupted', () => {
  const interruptedAt = (samples: number) => {
    const stopping = new AbortController();
    let taken = 0;
    const speed = () => {
      if (++taken === samples) stopping.abort();
      return 100;
    };
    return run([ours('plain'), ours('cork')], speed, { signal: stopping.signal });
  };

  test('reports what it has, where that is three rounds and the one thrown away', async () => {
    const { interrupted, rounds, trials } = await interruptedAt(2 * 4 + 1);
    assert.deepEqual([interrupted, rounds, trials.length], [true, 3, 2]);
  });

  test('reports nothing before', async () => {
    await assert.rejects(interruptedAt(2 * 4 - 1), { name: 'AbortError' });
  });
});

/** Time passes only while samples are taken: as long as they are, and half a second more. */
function runInTime(
  candidates: readonly Candidate[],
  speedOf: (name: string, run: number) => number,
  secondsMax: number,
  more: Partial<RunOptions> = {},
) {
  const counts = new Map<string, number>();
  let now = 0;
  return run(candidates, () => NaN, {
    timing: { seconds: 0.5, warmUpSeconds: 0.25, runs: 5, secondsMax },
    clock: () => now,
    take: (_, entered, { seconds }) =>
      Promise.allSettled(
        entered.map(async (candidate) => {
          await Promise.resolve();
          const name = nameOfCandidate(candidate);
          const number = counts.get(name) ?? 0;
          counts.set(name, number + 1);
          now += 0.5 + seconds;
          return { sample: sample(speedOf(name, number)) };
        }),
      ),
    ...more,
  });
}

describe('with time left', () => {
  const alternating = (run: number): number => (run % 2 === 0 ? 1 : 1.2);
  const turnsOf = ({ turns }: Sample): readonly number[] => turns;
  const samplesOf = ({ trials }: Awaited<ReturnType<typeof run>>) =>
    trials.map(({ candidate, samples }) => [nameOfCandidate(candidate), samples.length]);

  test('nothing more is measured of what is settled', async () => {
    const speed: Record<string, number> = { plain: 100, cork: 120, nbdkit: 50 };
    const candidates = [ours('plain'), ours('cork'), peer('nbdkit')];
    const measured = await runInTime(candidates, (name) => speed[name] ?? NaN, 100);
    assert.deepEqual(
      samplesOf(measured).map(([, count]) => count),
      [4, 4, 4],
    );
  });

  test('it is spent only on candidates whose verdict is in doubt', async () => {
    const candidates = [ours('plain'), ours('more'), ours('batched'), peer('nbdkit')];
    const measured = await runInTime(
      candidates,
      (name, number) => {
        if (name === 'more') return 105 * alternating(number);
        return { plain: 100, batched: 1000, nbdkit: 10 }[name] ?? NaN;
      },
      // The rounds of everything take 18.2 seconds of them, and those of two 6 seconds each.
      52,
    );
    assert.deepEqual(samplesOf(measured), [
      ['plain', 9],
      ['more', 9],
      ['batched', 4],
      ['nbdkit', 4],
    ]);
    assert.equal(measured.rounds, 4);
    const more = measured.trials[1];
    assert.equal(more?.gain?.verdict, 'faster');
    const [before, after] = [4, 9].map((count) =>
      gainOver(Array<number[]>(count).fill([100]), more.samples.slice(0, count).map(turnsOf)),
    );
    assert.deepEqual([before?.verdict, after], ['no difference shown', more.gain]);
  });

  test('it ends where more rounds tell nothing', async () => {
    const wild = (name: string, number: number) => (name === 'plain' ? 1 : alternating(number)) * 9;
    const measured = await runInTime([ours('plain'), ours('cork')], wild, 1e6);
    assert.deepEqual(samplesOf(measured), [
      ['plain', 39],
      ['cork', 39],
    ]);
  });

  test('the bar never goes back, and stays below its end', async () => {
    const seen: number[] = [];
    await runInTime(
      [ours('plain'), ours('cork')],
      (name, number) => (name === 'plain' ? 1 : alternating(number)),
      50,
      { progress: ({ done }) => seen.push(done) },
    );
    assert.ok(seen.length >= 10 && seen.every((done) => done >= 0 && done < 1));
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
  });

  test('interrupted then, it reports whole rounds and what came after them', async () => {
    const stopping = new AbortController();
    const measured = await runInTime(
      [ours('plain'), ours('cork')],
      (name, number) => {
        if (number === 7 && name === 'cork') stopping.abort();
        return name === 'plain' ? 100 : 100 * alternating(number);
      },
      50,
      { signal: stopping.signal },
    );
    assert.deepEqual([measured.interrupted, measured.rounds], [true, 4]);
    assert.equal(measured.trials.length, 2);
  });

  test('what fails then is left out, and the others go on', async () => {
    const candidates = [ours('plain'), ours('cork'), ours('more')];
    const measured = await runInTime(
      candidates,
      (name, number) => {
        if (name === 'more' && number === 6) throw new Error('no more');
        return name === 'plain' ? 100 : 100 * alternating(number);
      },
      200,
    );
    const [plain = [], cork = [], ...rest] = samplesOf(measured);
    assert.deepEqual([plain[0], cork[0], rest], ['plain', 'cork', []]);
    assert.ok(Number(cork[1]) > 10 && Number(plain[1]) >= Number(cork[1]));
    assert.deepEqual(
      measured.skipped.map(({ why }) => why),
      ['no more'],
    );
  });
});

test('in 20 repetitions a copy is no different and a slowed one slower, 19 times at least', async () => {
  const random = randomNumbers(11);
  const slowness: Record<string, number> = { plain: 1, copy: 1, slowed: 1.6 };
  const right = { copy: 0, slowed: 0 };
  for (let repetition = 0; repetition < 20; repetition++) {
    // The machine gets slower and faster from sample to sample, and each sample has its own noise.
    let drift = 0;
    const speedOf = (name: string) => {
      drift = 0.95 * drift + 0.05 * normal(random);
      return (100_000 / (slowness[name] ?? NaN)) * Math.exp(drift + 0.05 * normal(random));
    };
    const candidates = [ours('plain'), peer('copy'), peer('slowed')];
    const { trials } = await run(candidates, speedOf, { random });
    const verdicts = new Map(
      trials.map(({ candidate, gain }) => [nameOfCandidate(candidate), gain?.verdict]),
    );
    if (verdicts.get('copy') === 'no difference shown') right.copy++;
    if (verdicts.get('slowed') === 'slower') right.slowed++;
  }
  assert.ok(right.copy >= 19 && right.slowed >= 19, JSON.stringify(right));
});
