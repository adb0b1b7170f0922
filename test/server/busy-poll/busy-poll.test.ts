import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BusyPoll } from '../../../lib/server/busy-poll/busy-poll.js';
import { temporaryFolder } from '../../support/folder.js';

/** A clock and an event loop that move when told to. */
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

  /** Whether the loop would look for input without sleeping. */
  get awake(): boolean {
    return this.scheduled.length > 0;
  }

  turn(ms: number): void {
    this.nowMs += ms;
    for (const callback of this.scheduled.splice(0)) callback();
  }

  /** A read that comes `waitMs` after the last one was dealt with. */
  read(waitMs: number): void {
    this.nowMs += waitMs;
    this.poll.arrived();
    this.nowMs += 0.005;
    this.poll.idle();
  }
}

describe('busy polling', () => {
  test('begins where waking up takes its time', () => {
    const loop = new Loop(0.1);
    loop.read(5);
    assert.ok(!loop.awake, 'nothing is known yet');
    for (let count = 0; count < 120; count++) loop.read(0.06);
    assert.ok(loop.awake);
  });

  test('has the kernel keep all processors awake, where it may, and looks again afterwards', async (context) => {
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
    assert.ok(!loop.awake, 'nothing is known any more');
  });

  test('ends when nothing comes', () => {
    const loop = new Loop(0.1);
    for (let count = 0; count < 120; count++) loop.read(0.06);
    loop.turn(0.05);
    assert.ok(loop.awake);
    loop.turn(0.06);
    assert.ok(!loop.awake);
  });

  test('schedules once, however many reads there are', () => {
    const loop = new Loop(0.1);
    for (let count = 0; count < 200; count++) loop.read(0.06);
    assert.equal(loop.scheduled.length, 1);
  });

  for (const [what, waitMs] of [
    ['a processor that is awake', 0.01],
    ['a client that takes its time', 0.3],
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

  test('sleeps now and then to look again, and stops where it does not help any more', () => {
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

  test('0 is never', () => {
    const loop = new Loop(0);
    for (let count = 0; count < 1000; count++) loop.read(0.06);
    assert.ok(!loop.awake);
  });
});
