import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BusyPoll } from '../../../lib/server/busy-poll/busy-poll.js';
import { temporaryFolder } from '../../support/folder.js';

/** A clock and an event loop that advance on demand. */
class Loop {
  nowMs = 5;
  scheduled: (() => void)[] = [];
  readonly poll: BusyPoll;

  constructor(pollMs: number, latencyDevice = '/nowhere') {
    this.poll = new BusyPoll(
      pollMs,
      () => this.nowMs,
      (callback) => this.scheduled.push(callback),
      latencyDevice,
    );
  }

  /** Whether the loop would poll for input without sleeping. */
  get awake(): boolean {
    return this.scheduled.length > 0;
  }

  turn(ms: number): void {
    this.nowMs += ms;
    for (const callback of this.scheduled.splice(0)) callback();
  }

  /** A read `waitMs` after the last one was handled. */
  read(waitMs: number): void {
    this.nowMs += waitMs;
    this.poll.readStarted();
    this.nowMs += 0.005;
    this.poll.readEnded();
  }
}

describe('busy polling', () => {
  test('begins when waking up is slow', () => {
    const loop = new Loop(0.1);
    loop.read(5);
    assert.ok(!loop.awake, 'nothing is measured yet');
    for (let count = 0; count < 120; count++) loop.read(0.06);
    assert.ok(loop.awake);
  });

  test('keeps all processors awake, and measures again afterwards', async (context) => {
    const path = join(await temporaryFolder(context), 'cpu_dma_latency');
    writeFileSync(path, '');
    context.mock.timers.enable({ apis: ['setInterval'] });
    const loop = new Loop(0.1, path);
    for (let count = 0; count < 120; count++) loop.read(0.06);
    assert.equal(readFileSync(path).length, 4);
    context.mock.timers.tick(20);
    context.mock.timers.tick(20);
    loop.turn(1);
    loop.read(5);
    assert.ok(!loop.awake, 'measurements are discarded');
  });

  test('ends without further reads', () => {
    const loop = new Loop(0.1);
    for (let count = 0; count < 120; count++) loop.read(0.06);
    loop.turn(0.05);
    assert.ok(loop.awake);
    loop.turn(0.06);
    assert.ok(!loop.awake);
  });

  test('schedules one callback for any number of reads', () => {
    const loop = new Loop(0.1);
    for (let count = 0; count < 200; count++) loop.read(0.06);
    assert.equal(loop.scheduled.length, 1);
  });

  for (const [what, waitMs] of [
    ['a processor that is awake', 0.01],
    ['a slow client', 0.3],
    ['pauses', 50],
  ] as const) {
    test(`does not begin for ${what}`, () => {
      const loop = new Loop(0.1);
      for (let count = 0; count < 1000; count++) {
        loop.read(waitMs);
        assert.ok(!loop.awake);
      }
    });
  }

  test('sleeps now and then to measure, and stops when it no longer helps', () => {
    const loop = new Loop(0.1);
    for (let count = 0; count < 120; count++) loop.read(0.06);
    let slept = 0;
    for (let count = 0; count < 5000; count++) {
      loop.turn(0.001);
      if (!loop.awake) slept++;
      loop.read(0.01);
    }
    assert.ok(slept > 3000, `slept ${slept} times`);
    assert.ok(!loop.awake);
  });

  test('is disabled by 0', () => {
    const loop = new Loop(0);
    for (let count = 0; count < 1000; count++) loop.read(0.06);
    assert.ok(!loop.awake);
  });
});
