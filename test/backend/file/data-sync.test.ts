import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { DataSync } from '../../../lib/backend/file/data-sync.js';
import { holdSyncs, systemError, type Callback } from '../support/replace-fs.js';

function endOne(held: Callback[], error: Error | null = null): void {
  const callback = held.shift();
  assert.ok(callback, 'no fdatasync is running');
  callback(error);
}

describe('DataSync', () => {
  test('callers that arrive during a sync share the next one', async (t) => {
    const held = holdSyncs(t);
    const dataSync = new DataSync(() => promisify(fs.fdatasync)(1));
    const ended: string[] = [];
    const sync = (name: string): Promise<unknown> => dataSync.sync().then(() => ended.push(name));
    const first = sync('first');
    assert.equal(held.length, 1);
    const others = [sync('second'), sync('third')];
    assert.equal(held.length, 1);
    endOne(held);
    await first;
    assert.deepEqual(ended, ['first']);
    assert.equal(held.length, 1, 'the others share one new sync');
    const fourth = sync('fourth');
    endOne(held);
    await Promise.all(others);
    assert.deepEqual(ended, ['first', 'second', 'third']);
    endOne(held);
    await fourth;
    assert.equal(held.length, 0);
  });

  test('a failed sync fails waiting callers and all later ones', async (t) => {
    const held = holdSyncs(t);
    const dataSync = new DataSync(() => promisify(fs.fdatasync)(1));
    const failure = { name: 'NbdError', code: 'EIO' };
    const first = assert.rejects(dataSync.sync(), failure);
    const second = assert.rejects(dataSync.sync(), failure);
    endOne(held, systemError('EIO'));
    await Promise.all([first, second]);
    await assert.rejects(dataSync.sync(), failure);
    assert.equal(held.length, 0);
  });
});
