/** Calls and codecs timed alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MicroSeries } from '../micro/measure.js';
import { checked, nativeSubjects } from '../micro/native.js';
import { runMicro } from '../micro/index.js';
import { tcpPair, unixPair } from '../micro/sockets.js';
import { addon } from '../../lib/native/load.js';
import { temporaryFolder } from '../../test/support/folder.js';

describe('single calls', () => {
  test('are timed each, and told of while they are', async (t) => {
    const told = new Set<string>();
    const { micro, skipped } = await runMicro({
      folder: await temporaryFolder(t),
      progress: ({ done, what }) => {
        assert.ok(done > 0 && done < 1);
        told.add(what);
      },
      signal: new AbortController().signal,
    });
    for (const { name, nanosecondsPerCall, nanosecondsError } of micro) {
      assert.ok(nanosecondsPerCall > 0 && Number.isFinite(nanosecondsError), name);
      assert.ok(told.has(name), name);
    }
    const vectors = micro.filter(({ name }) => name === 'sendmsg of one buffer');
    assert.deepEqual(
      vectors.map(({ pieces }) => pieces),
      addon === undefined ? [] : [2, 16, 128, 1024],
    );
    assert.ok(micro.some(({ name }) => name === 'read a request'));
    assert.ok(micro.some(({ name }) => name.includes('fallback')));
    assert.ok(skipped.every(({ why }) => why !== ''));
  });

  test('that fail are told with the reason, the others go on', async () => {
    const series = new MicroSeries({
      name: 'broken',
      repeat: () => {
        throw new Error('not here');
      },
    });
    await series.measure();
    await series.measure();
    assert.equal(series.failure, 'not here');
    assert.equal(series.trial, null);
  });

  test('are warmed up, repeated until they take some time, and averaged without what is odd', async (t) => {
    let now = 0;
    let calls = 0;
    let callMs = 0.125;
    t.mock.method(performance, 'now', () => now);
    const series = new MicroSeries({
      name: 'one by one',
      repeat: (count) => {
        calls += count;
        now += count * callMs;
      },
      countMax: 1,
    });
    await series.measure();
    assert.equal(calls, 25 / callMs);
    for (let round = 0; round < 20; round++) {
      calls = 0;
      callMs = round === 5 ? 1 : 0.125;
      await series.measure();
      assert.equal(calls, 3 / callMs);
    }
    const { nanosecondsPerCall, nanosecondsError } = series.trial ?? {};
    assert.deepEqual([nanosecondsPerCall, nanosecondsError], [125_000, 0]);
  });

  test('name the error of a call', () => {
    assert.throws(() => checked(-22), { message: 'The call failed with EINVAL.' });
    checked(0);
  });

  test(
    'leave the socket uncorked',
    { skip: addon === undefined && 'needs the addon' },
    async (t) => {
      assert.ok(addon !== undefined);
      const folder = await temporaryFolder(t);
      const pairs = { tcp: await tcpPair(), unix: await unixPair(folder) };
      const { subjects, close } = await nativeSubjects(addon, folder, pairs);
      t.after(async () => {
        await close();
        pairs.tcp.close();
        pairs.unix.close();
      });
      const setCork = subjects.find(({ name }) => name === 'setCork');
      await setCork?.repeat(3);
      assert.equal(addon.getCork(pairs.tcp.fd), 1);
      setCork?.between?.();
      assert.equal(addon.getCork(pairs.tcp.fd), 0);
    },
  );
});
