import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InProgress } from '../../../../lib/backend/file/io/in-progress.js';

/** Whether `promise` has settled. */
async function settled(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => true), Promise.resolve().then(() => false)]);
}

describe('operations in progress', () => {
  test('are idle when the last has ended', async () => {
    const inProgress = new InProgress(() => undefined);
    await inProgress.whenIdle();
    inProgress.began();
    const period = inProgress.writeBegan();
    const idle = inProgress.whenIdle();
    inProgress.ended();
    assert.equal(await settled(idle), false);
    inProgress.writeEnded(period);
    await idle;
  });

  test('include writes, which are waited for without those that begin later', async () => {
    const inProgress = new InProgress(() => undefined);
    for (let round = 0; round < 3; round++) {
      const before = inProgress.writeBegan();
      const ended = inProgress.whenWritesEnded();
      const after = inProgress.writeBegan();
      inProgress.writeEnded(inProgress.writeBegan());
      assert.equal(await settled(ended), false);
      inProgress.writeEnded(before);
      await ended;
      inProgress.writeEnded(after);
    }
    await inProgress.whenWritesEnded();
  });

  test('that fail are counted to their end, and reported', async () => {
    const errors: unknown[] = [];
    const inProgress = new InProgress((error) => errors.push(error));
    const error = new Error('it failed');
    await assert.rejects(inProgress.track(Promise.reject(error)), error);
    await assert.rejects(inProgress.trackWrite(Promise.reject(error)), error);
    await inProgress.whenIdle();
    await inProgress.whenWritesEnded();
    assert.deepEqual(errors, [error, error]);
  });
});
