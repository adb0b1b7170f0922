/** Who is measured when, by loads that note what they are asked. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Asked } from '../measure/worker-process.js';
import type { Means, Start } from '../measure/candidate-run.js';
import { startOurs } from '../candidates/ours.js';
import type { LoadAnswers, LoadQuestion } from '../load/messages.js';
import { takeSamples, type Entrant } from '../measure/sample.js';
import { workload } from '../workloads.js';
import { loadPath, makeMeans } from './support/environment.js';

const timing = { seconds: 0.1, warmUpSeconds: 0.01 };
const asked = workload('unix', 'read-4k', 16);

interface Turn {
  readonly name: string;
  readonly seconds: number;
}

class NotingLoad extends Asked<LoadQuestion, LoadAnswers> {
  private readonly note: (seconds: number) => void;

  /** What `note` throws is what the load fails with. */
  constructor(note: (seconds: number) => void) {
    super(loadPath);
    this.note = note;
  }

  override async ask<Type extends LoadQuestion['type']>(
    question: LoadQuestion & { readonly type: Type },
    seconds = 0,
  ): Promise<LoadAnswers[Type]> {
    const { type } = question;
    if (type === 'run') this.note(seconds);
    return super.ask<Type>(question, seconds);
  }
}

/** Entrants whose turns are noted, and the folders of their servers. */
class Rivals {
  readonly turns: Turn[] = [];
  readonly folders: string[] = [];
  stopped = 0;
  private readonly t: TestContext;

  constructor(t: TestContext) {
    this.t = t;
  }

  entrant(name: string, isOurs: boolean, runsMax = Infinity): Entrant {
    const load = new NotingLoad((seconds) => {
      this.turns.push({ name, seconds });
      const runs = this.turns.filter((turn) => turn.name === name).length;
      if (runs > runsMax) throw new Error(`no ${name}`);
    });
    this.t.after(() => load.stop());
    const start: Start = async (setting) => {
      this.folders.push(setting.folder);
      const running = await startOurs({ strategy: 'stream' }, asked, setting);
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
  entrants: readonly Entrant[],
  more: Partial<Means> = {},
  of = asked,
) {
  const { load, ...means } = await makeMeans(t);
  await load.stop();
  return takeSamples(of, entrants, timing, { ...means, ...more });
}

describe('in a row', () => {
  test('ours take short turns and others long ones, all for the same time', async (t) => {
    const rivals = new Rivals(t);
    const results = await take(t, [
      rivals.entrant('a', true),
      rivals.entrant('b', true),
      rivals.entrant('c', false),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled'],
    );
    const { measured } = rivals;
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
    rivals.assertGone();
  });

  test('turns are long where more requests wait than one connection has', async (t) => {
    const rivals = new Rivals(t);
    const entrants = [rivals.entrant('a', true), rivals.entrant('b', true)];
    await take(t, entrants, {}, workload('unix', 'read-4k', 64, 2));
    assert.deepEqual(
      rivals.measured.map(({ seconds }) => seconds),
      [0.05, 0.05, 0.05, 0.05],
    );
  });

  test('turns of long replies are longer', async (t) => {
    const rivals = new Rivals(t);
    await take(t, [rivals.entrant('a', true)], {}, workload('unix', 'read-64k', 16));
    assert.deepEqual(
      rivals.measured.map(({ seconds }) => seconds),
      Array<number>(6).fill(0.05 / 3),
    );
  });

  test('ours warm up twice as long where that is slow', async (t) => {
    for (const [of, factor] of [
      [workload('unix', 'read-4k', 1), 2],
      [workload('unix', 'read-4k', 2), 1],
    ] as const) {
      const rivals = new Rivals(t);
      await take(t, [rivals.entrant('a', true)], {}, of);
      assert.equal(rivals.turns[0]?.seconds, factor * timing.warmUpSeconds);
    }
  });

  test('ours leave a processor to the load, and others stay where they are', async (t) => {
    const rivals = new Rivals(t);
    const moved: number[] = [];
    const moveServer = (pid: number): Promise<void> => {
      assert.equal(rivals.turns.length, 0);
      moved.push(pid);
      return Promise.resolve();
    };
    const apart = { servers: [0], load: 1, loadPrefix: [], moveServer };
    const ours = [rivals.entrant('a', true), rivals.entrant('b', true)];
    await take(t, [...ours, rivals.entrant('c', false)], { apart });
    assert.equal(new Set(moved).size, 2);
    assert.equal(moved.length, 2);
  });

  test('one that fails has no more turns, and the others have theirs', async (t) => {
    const rivals = new Rivals(t);
    const results = await take(t, [
      rivals.entrant('a', true),
      rivals.entrant('b', true, 3),
      rivals.entrant('c', false, 0),
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'rejected' ? String(result.reason) : '')),
      ['', 'Error: no b', 'Error: no c'],
    );
    const countOf = (name: string) => rivals.turns.filter((turn) => turn.name === name).length;
    assert.deepEqual(['a', 'b', 'c'].map(countOf), [13, 4, 1]);
    rivals.assertGone();
  });

  test('one that does not start or cannot be stopped fails alone', async (t) => {
    const rivals = new Rivals(t);
    const a = rivals.entrant('a', true);
    const stopless = rivals.entrant('b', true);
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
        ...rivals.entrant('c', false),
        start: () => Promise.reject(new Error('it does not start')),
      },
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'rejected' ? String(result.reason) : '')),
      ['', 'Error: it does not stop', 'Error: it does not start'],
    );
    rivals.assertGone();
  });

  test('it ends where nobody is left', async (t) => {
    const rivals = new Rivals(t);
    const { load, ...means } = await makeMeans(t);
    await load.stop();
    const entrants = [rivals.entrant('a', true, 1), rivals.entrant('b', false, 1)];
    const results = await takeSamples(asked, entrants, { ...timing, seconds: 3600 }, means);
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.equal(rivals.turns.length, 4);
  });

  test('nobody is started where it was aborted', async (t) => {
    const rivals = new Rivals(t);
    const signal = AbortSignal.abort(new Error('enough'));
    const [result] = await take(t, [rivals.entrant('a', true)], { signal });
    assert.equal(result?.status === 'rejected' && String(result.reason), 'Error: enough');
    assert.deepEqual([rivals.turns, rivals.folders], [[], []]);
  });
});
