import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBudget } from '../../../lib/transmission/memory/memory-budget.js';
import { eventLoopTurn } from '../../support/server.js';

/** Waits for `bytes`, and adds its name to `granted` when it gets them. */
function waiter(bytes: number, granted: string[], name: string) {
  return { bytes, granted: () => void granted.push(name) };
}

describe('a memory budget', () => {
  test('admits what fits', () => {
    const budget = new MemoryBudget(100);
    assert.equal(budget.tryAcquire(60), true);
    assert.equal(budget.tryAcquire(41), false);
    assert.equal(budget.tryAcquire(40), true);
    assert.equal(budget.usedBytes, 100);
    budget.release(60);
    assert.equal(budget.tryAcquire(60), true);
  });

  test('admits more than it has where nothing is used', () => {
    const budget = new MemoryBudget(100);
    assert.equal(budget.tryAcquire(500), true);
    assert.equal(budget.tryAcquire(1), false);
    budget.release(500);
    assert.equal(budget.usedBytes, 0);
  });

  test('grants in the order in which was asked, and to others only then', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    budget.tryAcquire(100);
    budget.wait(waiter(80, granted, 'large'));
    budget.wait(waiter(10, granted, 'small'));
    budget.wait(waiter(50, granted, 'last'));
    budget.release(50);
    await eventLoopTurn();
    assert.deepEqual(granted, []);
    assert.equal(budget.tryAcquire(1), false, 'others wait');
    budget.release(50);
    assert.deepEqual(granted, [], 'not in the middle of the release');
    await eventLoopTurn();
    assert.deepEqual(granted, ['large', 'small']);
    assert.equal(budget.usedBytes, 90);
    budget.release(80);
    await eventLoopTurn();
    assert.deepEqual(granted, ['large', 'small', 'last']);
    assert.equal(budget.usedBytes, 60);
  });

  test('goes on with the next one where one gives up', async () => {
    const budget = new MemoryBudget(100);
    const granted: string[] = [];
    budget.tryAcquire(90);
    const large = waiter(80, granted, 'large');
    budget.wait(large);
    budget.wait(waiter(10, granted, 'small'));
    budget.cancel(large);
    await eventLoopTurn();
    assert.deepEqual(granted, ['small']);
    budget.cancel(large);
    assert.equal(budget.usedBytes, 100);
  });
});
