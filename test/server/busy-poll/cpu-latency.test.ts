import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { KeepAwake } from '../../../lib/server/busy-poll/cpu-latency.js';
import { temporaryFolder } from '../../support/folder.js';

/** A file in place of the kernel's device, and a clock that moves when told to. */
async function device(
  context: TestContext,
): Promise<{ path: string; ended: () => number; awake: KeepAwake }> {
  const path = join(await temporaryFolder(context), 'cpu_dma_latency');
  context.mock.timers.enable({ apis: ['setInterval'] });
  writeFileSync(path, '');
  let ended = 0;
  const awake = new KeepAwake(() => ended++, path);
  return { path, ended: () => ended, awake };
}

describe('keeping processors awake', () => {
  test('asks for a latency of 0, as the kernel wants it: 32 bits, held open', async (context) => {
    const { path, awake } = await device(context);
    awake.begin();
    assert.ok(awake.held);
    assert.deepEqual(readFileSync(path), Buffer.alloc(4));
    context.mock.timers.tick(20);
    assert.ok(!awake.held);
  });

  test('goes on while there are rounds, but not for longer than a second', async (context) => {
    const { awake, ended } = await device(context);
    awake.begin();
    for (let ms = 20; ms < 1000; ms += 20) {
      for (let count = 0; count < 20; count++) awake.round();
      context.mock.timers.tick(20);
      assert.ok(awake.held, `${ms} ms`);
    }
    assert.equal(ended(), 0);
    for (let count = 0; count < 20; count++) awake.round();
    context.mock.timers.tick(20);
    assert.ok(!awake.held);
    assert.equal(ended(), 1);
  });

  test('ends with the first pause, and begins again', async (context) => {
    const { awake, ended } = await device(context);
    awake.begin();
    awake.begin();
    for (let count = 0; count < 19; count++) awake.round();
    context.mock.timers.tick(20);
    assert.ok(!awake.held);
    assert.equal(ended(), 1);
    awake.begin();
    assert.ok(awake.held);
    context.mock.timers.tick(20);
    assert.equal(ended(), 2);
  });

  test('is not tried again where it may not be', async (context) => {
    const path = join(await temporaryFolder(context), 'missing');
    context.mock.timers.enable({ apis: ['setInterval'] });
    const awake = new KeepAwake(() => assert.fail('it never began'), path);
    awake.begin();
    assert.ok(!awake.held);
    writeFileSync(path, '');
    awake.begin();
    assert.ok(!awake.held);
    context.mock.timers.tick(100);
  });
});
