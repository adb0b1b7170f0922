/** Long work of memory disks leaves the event loop to other clients again and again. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { MemoryBackend } from '../../../lib/backend/memory/memory-backend.js';
import { SlicedWork, type Step } from '../../../lib/backend/memory/sliced-work.js';
import { eventLoopTurn } from '../../support/server.js';

const mebibyte = 2 ** 20;
const longBytes = 2 ** 30;
const noHoles = { fua: false, noHole: true, fast: false };
const holes = { fua: false, noHole: false, fast: false };

/** Every look at the clock takes a millisecond. */
function slowClock(t: TestContext): void {
  let nowMs = performance.now();
  t.mock.method(performance, 'now', () => nowMs++);
}

/** Turns of the event loop until the work is done. */
async function turnsOf(work: unknown): Promise<number> {
  let done = false;
  const finished = Promise.resolve(work).then(() => {
    done = true;
  });
  let turns = 0;
  const turn = (): void => {
    if (done) return;
    turns++;
    setImmediate(turn);
  };
  turn();
  await finished;
  return turns;
}

function countdown(steps: number, log: string[], name: string): Step {
  let left = steps;
  return () => {
    if (left === 0) return 0;
    left--;
    log.push(name);
    return 1;
  };
}

describe('work in slices', () => {
  test('is done at once where it fits a slice', (t) => {
    t.mock.method(performance, 'now', () => 1000);
    assert.equal(new SlicedWork().run(countdown(100, [], 'a'), longBytes), undefined);
  });

  test('of several requests shares one slice in a turn, and they take turns', async (t) => {
    slowClock(t);
    const work = new SlicedWork();
    const log: string[] = [];
    const turns = await turnsOf(
      Promise.all(
        ['a', 'b', 'c'].map(async (name) => work.run(countdown(20, log, name), longBytes)),
      ),
    );
    assert.ok(turns >= 20, `${turns} turns`);
    const last = (name: string): number => log.lastIndexOf(name);
    assert.ok(Math.abs(last('a') - last('c')) < 6);
    assert.equal(log.length, 60);
  });

  test('that fails does not keep other work from running', async (t) => {
    slowClock(t);
    const work = new SlicedWork();
    let left = 10;
    const failing = work.run(() => {
      if (--left === 0) throw new Error('failed');
      return 1;
    }, longBytes);
    const other = work.run(countdown(20, [], 'b'), longBytes);
    await assert.rejects(async () => failing, /failed/);
    await other;
  });
});

describe('zeroing a memory disk of 16 MiB leaves the event loop in between', () => {
  const size = 16 * mebibyte;
  const requests: Record<string, (disk: MemoryBackend) => unknown> = {
    'WRITE_ZEROES without holes': (disk) => disk.writeZeroes(0, size, noHoles),
    'WRITE_ZEROES of a part of a chunk': (disk) => disk.writeZeroes(0, size - 1, holes),
    'TRIM of a part of a chunk': (disk) => disk.trim(1, size - 1),
  };
  for (const [what, request] of Object.entries(requests)) {
    test(what, async (t) => {
      const disk = new MemoryBackend(size, { chunkBytes: size });
      disk.write(5, Uint8Array.of(1));
      disk.write(size - 2, Uint8Array.of(1));
      // The slice of the test before ends with its turn.
      await eventLoopTurn();
      slowClock(t);
      const turns = await turnsOf(request(disk));
      assert.ok(turns >= 10, `${turns} turns`);
      const slice = { memory: new Uint8Array(0), start: 0 };
      assert.ok(disk.readSlice(0, size, slice));
      assert.equal(slice.memory.subarray(1, size - 1).indexOf(1), -1);
    });
  }
});
