/** Which ranges are asked of fallocate, and what its answers lead to. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { RangeClearer } from '../../../lib/backend/file/range-clearer.js';
import type { Fallocate } from '../../../lib/backend/file/io/file-io.js';
import { fallocateMode } from '../../../lib/native/addon.js';

const punch = fallocateMode.punchHole | fallocateMode.keepSize;
const zero = fallocateMode.zeroRange | fallocateMode.keepSize;
const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;

type Call = readonly [mode: number, offset: number, length: number];

/** A file of 100,000 bytes, whose fallocate answers `answers` in turn, then 0. */
function makeClearer(
  blockDevice: boolean,
  ...answers: number[]
): { clearer: RangeClearer; calls: Call[] } {
  const calls: Call[] = [];
  const fallocate: Fallocate = (_fd, mode, offset, length) => {
    calls.push([mode, offset, length]);
    return Promise.resolve(answers.shift() ?? 0);
  };
  const clearer = new RangeClearer(
    { fd: 1, size: 100_000, blockDevice },
    fallocate,
    () => undefined,
  );
  return { clearer, calls };
}

const plain = { noHole: false, fast: false };

describe('a trim', () => {
  for (const blockDevice of [false, true]) {
    const kind = blockDevice ? 'a block device' : 'a file';
    test(`of ${kind} covers whole blocks`, async () => {
      const { clearer, calls } = makeClearer(blockDevice);
      await clearer.trim(1, 20_000);
      await clearer.trim(4096, 4096);
      await clearer.trim(4097, 8190);
      await clearer.trim(90_000, 10_000);
      assert.deepEqual(calls, [
        [punch, 4096, 12_288],
        [punch, 4096, 4096],
        // The disk ends within its last block.
        [punch, 90_112, 9888],
      ]);
    });
  }

  test('that is unsupported is not tried again', async () => {
    const { clearer, calls } = makeClearer(false, -EOPNOTSUPP);
    assert.equal(clearer.canPunch, true);
    await clearer.trim(0, 4096);
    assert.equal(clearer.canPunch, false);
    await clearer.trim(0, 4096);
    assert.equal(calls.length, 1);
  });

  test('that fails throws', async () => {
    const { clearer } = makeClearer(false, -EIO);
    await assert.rejects(clearer.trim(0, 4096), { name: 'NbdError', code: 'EIO' });
    assert.equal(clearer.canPunch, true);
  });
});

describe('zeroing', () => {
  test('of a file is exact', async () => {
    const { clearer, calls } = makeClearer(false);
    assert.deepEqual(await clearer.zero(1, 10, plain), { start: 1, end: 11 });
    assert.deepEqual(await clearer.zero(5, 9000, { noHole: true, fast: true }), {
      start: 5,
      end: 9005,
    });
    assert.deepEqual(calls, [
      [punch, 1, 10],
      [zero, 5, 9000],
    ]);
  });

  test('of a block device leaves partial blocks to be written', async () => {
    const { clearer, calls } = makeClearer(true);
    assert.deepEqual(await clearer.zero(1, 9000, plain), { start: 4096, end: 8192 });
    assert.equal(await clearer.zero(1, 4096, plain), undefined);
    assert.deepEqual(calls, [[punch, 4096, 4096]]);
  });

  test('uses ZERO_RANGE where holes are unsupported', async () => {
    const { clearer, calls } = makeClearer(true, -EOPNOTSUPP);
    assert.deepEqual(await clearer.zero(0, 4096, plain), { start: 0, end: 4096 });
    assert.deepEqual(calls, [
      [punch, 0, 4096],
      [zero, 0, 4096],
    ]);
  });

  test('of a block device is not fast where the kernel may write the zeros', async () => {
    const { clearer, calls } = makeClearer(true, -EOPNOTSUPP);
    assert.equal(await clearer.zero(0, 4096, { noHole: true, fast: true }), undefined);
    assert.equal(await clearer.zero(0, 4096, { noHole: false, fast: true }), undefined);
    assert.deepEqual(calls, [[punch, 0, 4096]]);
  });

  test('of a device with large blocks is refused for partial ones only', async () => {
    const { clearer } = makeClearer(true, -EINVAL, -EINVAL);
    assert.equal(await clearer.zero(4096, 4096, plain), undefined);
    assert.deepEqual(await clearer.zero(65_536, 4096, plain), { start: 65_536, end: 69_632 });
  });

  test('is unsupported without the addon', async () => {
    const file = { fd: 1, size: 100_000, blockDevice: false };
    const clearer = new RangeClearer(file, undefined, () => undefined);
    assert.equal(clearer.canPunch, false);
    assert.equal(await clearer.zero(0, 4096, plain), undefined);
    await clearer.trim(0, 4096);
  });
});

describe('a large range of a block device', () => {
  const slice = 64 * 2 ** 20;
  const size = 10 * slice;

  /** A device on which nothing is done before `next` is called. */
  function slowDevice(answer = 0) {
    const waiting: (() => void)[] = [];
    const offsets: number[] = [];
    let open = true;
    const fallocate: Fallocate = (_fd, _mode, offset) =>
      new Promise((resolve) => {
        offsets.push(offset);
        waiting.push(() => {
          resolve(answer);
        });
      });
    const clearer = new RangeClearer({ fd: 1, size, blockDevice: true }, fallocate, () => {
      if (!open) throw new Error('closed');
    });
    const next = async (): Promise<void> => {
      waiting.shift()?.();
      await setImmediate();
    };
    const close = (): void => {
      open = false;
    };
    return { clearer, offsets, waiting, next, close };
  }

  test('is cleared in slices, one at a time for all requests, in turn', async () => {
    const { clearer, offsets, waiting, next } = slowDevice();
    const done = Promise.all([clearer.trim(0, 3 * slice), clearer.trim(5 * slice, 2 * slice)]);
    await setImmediate();
    for (let step = 0; step < 5; step++) {
      assert.equal(waiting.length, 1);
      await next();
    }
    await done;
    assert.deepEqual(
      offsets.map((offset) => offset / slice),
      [0, 5, 1, 6, 2],
    );
  });

  test('is abandoned when the disk is closed', async () => {
    const { clearer, offsets, next, close } = slowDevice();
    const cut = assert.rejects(clearer.trim(0, size), { message: 'closed' });
    await setImmediate();
    close();
    await next();
    await cut;
    assert.deepEqual(offsets, [0]);
  });

  test('is reported as zeroed only as far as the device did it', async () => {
    const answers = [0, 0, -EOPNOTSUPP];
    const fallocate = (): Promise<number> => Promise.resolve(answers.shift() ?? -EIO);
    const clearer = new RangeClearer(
      { fd: 1, size, blockDevice: true },
      fallocate,
      () => undefined,
    );
    for (const fast of [true, false]) {
      assert.deepEqual(
        await clearer.zero(slice, 5 * slice, { noHole: false, fast }),
        fast ? { start: slice, end: 3 * slice } : undefined,
      );
      answers.push(-EOPNOTSUPP);
    }
  });

  test('that fails does not block the next', async () => {
    const answers = [-EIO];
    const fallocate = (): Promise<number> => Promise.resolve(answers.shift() ?? 0);
    const clearer = new RangeClearer(
      { fd: 1, size, blockDevice: true },
      fallocate,
      () => undefined,
    );
    const failing = assert.rejects(clearer.trim(0, 3 * slice), { code: 'EIO' });
    await clearer.trim(3 * slice, 3 * slice);
    await failing;
  });

  test('returns at once where the operation is unsupported, without a wait for others', async () => {
    const { clearer, waiting, offsets } = slowDevice(-EOPNOTSUPP);
    const first = clearer.zero(0, slice, { noHole: true, fast: false });
    await setImmediate();
    waiting.shift()?.();
    assert.equal(await first, undefined);
    void clearer.trim(0, slice);
    await setImmediate();
    assert.equal(waiting.length, 1);
    assert.equal(await clearer.zero(0, slice, { noHole: true, fast: false }), undefined);
    assert.equal(offsets.length, 2);
  });
});
