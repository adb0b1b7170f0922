/** Which candidate is measured when, by load generators that record their requests. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { WorkerProcess } from '../measure/worker-process.js';
import type { Environment, Start } from '../measure/candidate-run.js';
import { startOurs } from '../candidates/ours.js';
import type { LoadResponses, LoadRequest } from '../load/messages.js';
import { takeSamples, type CandidateSetup } from '../measure/sample.js';
import { workload } from '../workloads.js';
import { loadPath, makeEnvironment } from './support/environment.js';

const timing = { seconds: 0.1, warmUpSeconds: 0.01 };
const targetWorkload = workload('unix', 'read-4k', 16);

interface Turn {
  readonly name: string;
  readonly seconds: number;
}

class RecordingLoad extends WorkerProcess<LoadRequest, LoadResponses> {
  private readonly note: (seconds: number) => void;

  /** What `note` throws is what the load fails with. */
  constructor(note: (seconds: number) => void) {
    super(loadPath);
    this.note = note;
  }

  override async request<Type extends LoadRequest['type']>(
    question: LoadRequest & { readonly type: Type },
    seconds = 0,
  ): Promise<LoadResponses[Type]> {
    const { type } = question;
    if (type === 'run') this.note(seconds);
    return super.request<Type>(question, seconds);
  }
}

/** Candidates whose turns are recorded, and the folders of their servers. */
class RecordedCandidates {
  readonly turns: Turn[] = [];
  readonly folders: string[] = [];
  stopped = 0;
  private readonly t: TestContext;

  constructor(t: TestContext) {
    this.t = t;
  }

  candidate(name: string, isOurs: boolean, runsMax = Infinity): CandidateSetup {
    const load = new RecordingLoad((seconds) => {
      this.turns.push({ name, seconds });
      const runs = this.turns.filter((turn) => turn.name === name).length;
      if (runs > runsMax) throw new Error(`no ${name}`);
    });
    this.t.after(() => load.stop());
    const start: Start = async (setting) => {
      this.folders.push(setting.folder);
      const running = await startOurs({ strategy: 'stream' }, targetWorkload, setting);
      const stop = async (): Promise<void> => {
        this.stopped++;
        await running.stop();
      };
      return { ...running, stop };
    };
    return { start, load, isOurs };
  }

  /** Without warming up. */
  get measured(): Turn[] {
    const count = new Set(this.turns.map(({ name }) => name)).size;
    return this.turns.slice(count);
  }

  assertGone(): void {
    assert.equal(this.stopped, this.folders.length);
    for (const folder of this.folders) {
      assert.ok(!existsSync(folder) && existsSync(dirname(folder)), folder);
    }
  }
}

async function take(
  t: TestContext,
  candidates: readonly CandidateSetup[],
  more: Partial<Environment> = {},
  of = targetWorkload,
) {
  const { load, ...environment } = await makeEnvironment(t);
  await load.stop();
  return takeSamples(of, candidates, timing, { ...environment, ...more });
}

describe('in a row', () => {
  test('ours take short turns and others long ones, all for the same time', async (t) => {
    const runs = new RecordedCandidates(t);
    const results = await take(t, [
      runs.candidate('a', true),
      runs.candidate('b', true),
      runs.candidate('c', false),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled'],
    );
    const { measured } = runs;
    for (const name of ['a', 'b', 'c']) {
      const turns = measured.filter((turn) => turn.name === name);
      assert.equal(turns.length, name === 'c' ? 2 : 12);
      const seconds = turns.reduce((sum, turn) => sum + turn.seconds, 0);
      assert.ok(Math.abs(seconds - timing.seconds) < 1e-9, `${name}: ${seconds}`);
    }
    const order = measured.map(({ name }) => (name === 'c' ? 'c' : '-')).join('');
    const six = '-'.repeat(12);
    assert.equal(order, `${six}cc${six}`, 'to and fro');
    for (let index = 0; index < 12; index += 2) {
      const pair = measured.slice(index, index + 2).map(({ name }) => name);
      assert.deepEqual(pair.toSorted(), ['a', 'b']);
    }
    runs.assertGone();
  });

  test('turns are long where more requests wait than one connection has', async (t) => {
    const runs = new RecordedCandidates(t);
    const candidates = [runs.candidate('a', true), runs.candidate('b', true)];
    await take(t, candidates, {}, workload('unix', 'read-4k', 64, 2));
    assert.deepEqual(
      runs.measured.map(({ seconds }) => seconds),
      [0.05, 0.05, 0.05, 0.05],
    );
  });

  test('turns of long replies are longer', async (t) => {
    const runs = new RecordedCandidates(t);
    await take(t, [runs.candidate('a', true)], {}, workload('unix', 'read-64k', 16));
    assert.deepEqual(
      runs.measured.map(({ seconds }) => seconds),
      Array<number>(6).fill(0.05 / 3),
    );
  });

  test('ours warm up twice as long where that is slow', async (t) => {
    for (const [of, factor] of [
      [workload('unix', 'read-4k', 1), 2],
      [workload('unix', 'read-4k', 2), 1],
    ] as const) {
      const runs = new RecordedCandidates(t);
      await take(t, [runs.candidate('a', true)], {}, of);
      assert.equal(runs.turns[0]?.seconds, factor * timing.warmUpSeconds);
    }
  });

  test('ours leave a processor to the load, and others stay where they are', async (t) => {
    const runs = new RecordedCandidates(t);
    const moved: number[] = [];
    const pinServer = (pid: number): Promise<void> => {
      assert.equal(runs.turns.length, 0);
      moved.push(pid);
      return Promise.resolve();
    };
    const pinning = { servers: [0], load: 1, loadPrefix: [], pinServer };
    const ours = [runs.candidate('a', true), runs.candidate('b', true)];
    await take(t, [...ours, runs.candidate('c', false)], { pinning });
    assert.equal(new Set(moved).size, 2);
    assert.equal(moved.length, 2);
  });

  test('one that fails has no more turns, and the others have theirs', async (t) => {
    const runs = new RecordedCandidates(t);
    const results = await take(t, [
      runs.candidate('a', true),
      runs.candidate('b', true, 3),
      runs.candidate('c', false, 0),
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'rejected' ? String(result.reason) : '')),
      ['', 'Error: no b', 'Error: no c'],
    );
    const countOf = (name: string) => runs.turns.filter((turn) => turn.name === name).length;
    assert.deepEqual(['a', 'b', 'c'].map(countOf), [13, 4, 1]);
    runs.assertGone();
  });

  test('one that does not start or cannot be stopped fails alone', async (t) => {
    const runs = new RecordedCandidates(t);
    const a = runs.candidate('a', true);
    const stopless = runs.candidate('b', true);
    const results = await take(t, [
      a,
      {
        ...stopless,
        start: async (setting) => {
          const running = await stopless.start(setting);
          const stop = async (): Promise<never> => {
            await running.stop();
            throw new Error('it does not stop');
          };
          return { ...running, stop };
        },
      },
      {
        ...runs.candidate('c', false),
        start: () => Promise.reject(new Error('it does not start')),
      },
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'rejected' ? String(result.reason) : '')),
      ['', 'Error: it does not stop', 'Error: it does not start'],
    );
    runs.assertGone();
  });

  test('it ends when all candidates have failed', async (t) => {
    const runs = new RecordedCandidates(t);
    const { load, ...environment } = await makeEnvironment(t);
    await load.stop();
    const candidates = [runs.candidate('a', true, 1), runs.candidate('b', false, 1)];
    const results = await takeSamples(
      targetWorkload,
      candidates,
      { ...timing, seconds: 3600 },
      environment,
    );
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.equal(runs.turns.length, 4);
  });

  test('no server is started after an abort', async (t) => {
    const runs = new RecordedCandidates(t);
    const signal = AbortSignal.abort(new Error('enough'));
    const [result] = await take(t, [runs.candidate('a', true)], { signal });
    assert.equal(result?.status === 'rejected' && String(result.reason), 'Error: enough');
    assert.deepEqual([runs.turns, runs.folders], [[], []]);
  });
});
