import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pending } from '../../lib/backend/pending.js';

class Later extends Pending<number> {
  end(value: number): void {
    this.resolve(value);
  }

  fail(error: unknown): void {
    this.reject(error);
  }
}

/** Calls of a receiver, in order. */
function receiver() {
  const calls: unknown[] = [];
  return {
    calls,
    resolved: (value: number) => void calls.push(value),
    rejected: (error: unknown) => void calls.push(error),
  };
}

const error = new Error('it failed');

describe('a pending result', () => {
  test('is delivered at once, and once', () => {
    const [later, failing] = [new Later(), new Later()];
    const [first, second] = [receiver(), receiver()];
    later.deliverTo(first);
    failing.deliverTo(second);
    assert.deepEqual(first.calls, []);
    later.end(1);
    later.end(2);
    later.fail(error);
    failing.fail(error);
    failing.end(2);
    assert.deepEqual(first.calls, [1]);
    assert.deepEqual(second.calls, [error]);
  });

  test('is delivered when it is there already', () => {
    const [later, failing] = [new Later(), new Later()];
    const [first, second] = [receiver(), receiver()];
    later.end(0);
    failing.fail(undefined);
    later.deliverTo(first);
    failing.deliverTo(second);
    assert.deepEqual(first.calls, [0]);
    assert.deepEqual(second.calls, [undefined]);
  });

  test('is a promise for code that does not know it', async () => {
    const [later, failing] = [new Later(), new Later()];
    const sum = Promise.all([later, later.then((value) => value + 1)]);
    const caught = failing.catch((reason: unknown) => reason);
    let settled = 0;
    const last = later.finally(() => settled++);
    later.end(7);
    failing.fail(error);
    assert.deepEqual(await sum, [7, 8]);
    assert.equal(await caught, error);
    assert.equal(await last, 7);
    assert.equal(await later, 7);
    assert.equal(settled, 1);
    await assert.rejects(failing, error);
  });

  test('is delivered after it was used as a promise', async () => {
    const later = new Later();
    const used = later.then((value) => value);
    const calls = await new Promise((resolve) => {
      later.deliverTo({ resolved: resolve, rejected: resolve });
      later.end(3);
    });
    assert.equal(calls, 3);
    assert.equal(await used, 3);
  });
});
