import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBudget } from '../../../lib/transmission/memory/memory-budget.js';
import { eventLoopTurn } from '../../support/server.js';

/** Waits for `bytes`, and adds its name to `granted` when it gets them. By default for a disk of its own. */
function waiter(bytes: number, granted: string[], name: string, share = { usedBytes: 0 }) {
  return { bytes, share, granted: () => void granted.push(name) };
}

/** The share of another disk. */
function other() {
  return { usedBytes: 0 };
}

describe('a memory budget', () => {
  test('admits what fits', () => {
    const budget = new MemoryBudget(100);
    const share = other();
    assert.equal(budget.tryAcquire(60, share), true);
    assert.equal(budget.tryAcquire(41, other()), false);
    assert.equal(budget.tryAcquire(40, other()), true);
    assert.equal(budget.usedBytes, 100);
    budget.release(60, share);
    assert.equal(budget.tryAcquire(60, other()), true);
  });

  test('admits more than it has where nothing is used', () => {
    const budget = new MemoryBudget(100);
    const share = other();
    assert.equal(budget.tryAcquire(500, share), true);
    assert.equal(budget.tryAcquire(1, other()), false);
    budget.release(500, share);
    assert.equal(budget.usedBytes, 0);
  });

  test('grants in the order in which was asked, and to others only then', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    const share = other();
    budget.tryAcquire(100, share);
    const large = waiter(80, granted, 'large');
    budget.wait(large);
    budget.wait(waiter(10, granted, 'small'));
    budget.wait(waiter(50, granted, 'last'));
    budget.release(50, share);
    await eventLoopTurn();
    assert.deepEqual(granted, []);
    assert.equal(budget.tryAcquire(1, other()), false, 'others wait');
    budget.release(50, share);
    assert.deepEqual(granted, [], 'not in the middle of the release');
    await eventLoopTurn();
    assert.deepEqual(granted, ['large', 'small']);
    assert.equal(budget.usedBytes, 90);
    budget.release(80, large.share);
    await eventLoopTurn();
    assert.deepEqual(granted, ['large', 'small', 'last']);
    assert.equal(budget.usedBytes, 60);
  });

  test('goes on with the next one where one gives up', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    budget.tryAcquire(90, other());
    const large = waiter(80, granted, 'large');
    budget.wait(large);
    budget.wait(waiter(10, granted, 'small'));
    budget.cancel(large);
    await eventLoopTurn();
    assert.deepEqual(granted, ['small']);
    budget.cancel(large);
    assert.equal(budget.usedBytes, 100);
  });

  test('leaves as much to others as one disk takes', () => {
    const budget = new MemoryBudget(100);
    const [first, second] = [other(), other()];
    for (let count = 0; count < 5; count++) assert.equal(budget.tryAcquire(10, first), true);
    assert.equal(budget.tryAcquire(1, first), false);
    for (let count = 0; count < 2; count++) assert.equal(budget.tryAcquire(10, second), true);
    assert.equal(budget.tryAcquire(10, second), false);
    assert.equal(budget.tryAcquire(30, other()), true);
    assert.equal(budget.usedBytes, 100);
  });

  test('does not let requests to one disk wait for the share of another', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    const share = other();
    budget.tryAcquire(50, share);
    budget.wait(waiter(10, granted, 'same', share));
    budget.wait(waiter(40, granted, 'other'));
    budget.wait(waiter(1, granted, 'smaller', share));
    await eventLoopTurn();
    assert.deepEqual(granted, ['other']);
    budget.release(50, share);
    await eventLoopTurn();
    assert.deepEqual(granted, ['other', 'same', 'smaller']);
  });

  test('says what of it is wanted', async () => {
    const budget = new MemoryBudget(100);
    const disk = {};
    const [first, second] = [budget.shareOf(disk), other()];
    assert.equal(budget.shareOf(disk), first);
    budget.tryAcquire(50, first);
    budget.tryAcquire(20, second);
    assert.deepEqual([budget.isWanted(first), budget.isWanted(second)], [false, false]);
    const granted: string[] = [];
    const same = waiter(10, granted, 'same', first);
    budget.wait(same);
    assert.deepEqual([budget.isWanted(first), budget.isWanted(second)], [true, false]);
    budget.cancel(same);
    budget.wait(waiter(40, granted, 'large'));
    await eventLoopTurn();
    assert.deepEqual([budget.isWanted(first), budget.isWanted(second)], [true, true]);
    assert.deepEqual(granted, []);
  });
});
