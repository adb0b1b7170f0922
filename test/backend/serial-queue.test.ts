import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SerialQueue } from '../../lib/backend/serial-queue.js';

describe('a serial queue', () => {
  test('runs work one at a time, in the order of addition', async () => {
    const queue = new SerialQueue();
    const events: string[] = [];
    const work = (name: string) => async (): Promise<string> => {
      events.push(`${name} starts`);
      await Promise.resolve();
      events.push(`${name} ends`);
      return name;
    };
    const results = await Promise.all([queue.run(work('first')), queue.run(work('second'))]);
    assert.deepEqual(results, ['first', 'second']);
    assert.deepEqual(events, ['first starts', 'first ends', 'second starts', 'second ends']);
  });

  test('runs what follows work that failed', async () => {
    const queue = new SerialQueue();
    const failure = new Error('failed');
    const failed = queue.run(() => Promise.reject(failure));
    const next = queue.run(() => Promise.resolve('next'));
    await assert.rejects(failed, failure);
    assert.equal(await next, 'next');
  });

  test('is idle when all work has settled, failed or not', async () => {
    const queue = new SerialQueue();
    await queue.idle();
    let ended = false;
    const failed = queue.run(async () => {
      await Promise.resolve();
      ended = true;
      throw new Error('failed');
    });
    await Promise.all([assert.rejects(failed), queue.idle().then(() => assert.ok(ended))]);
  });
});
