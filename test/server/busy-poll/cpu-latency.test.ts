import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { CpuLatency } from '../../../lib/server/busy-poll/cpu-latency.js';
import { temporaryFolder } from '../../support/folder.js';

/** A file in place of the kernel's device, and a clock that advances on demand. */
async function device(
  context: TestContext,
): Promise<{ path: string; ended: () => number; latency: CpuLatency }> {
  const path = join(await temporaryFolder(context), 'cpu_dma_latency');
  context.mock.timers.enable({ apis: ['setInterval'] });
  writeFileSync(path, '');
  let ended = 0;
  const latency = new CpuLatency(() => ended++, path);
  return { path, ended: () => ended, latency };
}

describe('CPU latency', () => {
  test('is a 32-bit 0, written to a file that stays open', async (context) => {
    const { path, latency } = await device(context);
    latency.hold();
    assert.ok(latency.held);
    assert.deepEqual(readFileSync(path), Buffer.alloc(4));
    context.mock.timers.tick(20);
    assert.ok(!latency.held);
  });

  test('is held while there are rounds, for a second at most', async (context) => {
    const { latency, ended } = await device(context);
    latency.hold();
    for (let ms = 20; ms < 1000; ms += 20) {
      for (let count = 0; count < 20; count++) latency.countRound();
      context.mock.timers.tick(20);
      assert.ok(latency.held, `${ms} ms`);
    }
    assert.equal(ended(), 0);
    for (let count = 0; count < 20; count++) latency.countRound();
    context.mock.timers.tick(20);
    assert.ok(!latency.held);
    assert.equal(ended(), 1);
  });

  test('is released at the first pause, and can be held again', async (context) => {
    const { latency, ended } = await device(context);
    latency.hold();
    latency.hold();
    for (let count = 0; count < 19; count++) latency.countRound();
    context.mock.timers.tick(20);
    assert.ok(!latency.held);
    assert.equal(ended(), 1);
    latency.hold();
    assert.ok(latency.held);
    context.mock.timers.tick(20);
    assert.equal(ended(), 2);
  });

  test('is not tried again after an error', async (context) => {
    const path = join(await temporaryFolder(context), 'missing');
    context.mock.timers.enable({ apis: ['setInterval'] });
    const latency = new CpuLatency(() => assert.fail('it was never held'), path);
    latency.hold();
    assert.ok(!latency.held);
    writeFileSync(path, '');
    latency.hold();
    assert.ok(!latency.held);
    context.mock.timers.tick(100);
  });
});
