/** Which ranges are asked of fallocate, and what its answers lead to. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Space } from '../../../lib/backend/file/range-clearer.js';
import { fallocateMode, type NativeAddon } from '../../../lib/native/addon.js';

const punch = fallocateMode.punchHole | fallocateMode.keepSize;
const zero = fallocateMode.zeroRange | fallocateMode.keepSize;
const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;

type Call = readonly [mode: number, offset: number, length: number];

/** A file of 100,000 bytes, whose fallocate answers `answers` in turn, then 0. */
function makeSpace(blockDevice: boolean, ...answers: number[]): { space: Space; calls: Call[] } {
  const calls: Call[] = [];
  const fallocate: NativeAddon['fallocate'] = (_fd, mode, offset, length) => {
    calls.push([mode, offset, length]);
    return Promise.resolve(answers.shift() ?? 0);
  };
  const space = new Space({ fd: 1, size: 100_000, blockDevice }, fallocate, () => undefined);
  return { space, calls };
}

const plain = { noHole: false, fast: false };

describe('a trim', () => {
  for (const blockDevice of [false, true]) {
    const kind = blockDevice ? 'a block device' : 'a file';
    test(`of ${kind} is of whole blocks`, async () => {
      const { space, calls } = makeSpace(blockDevice);
      await space.trim(1, 20_000);
      await space.trim(4096, 4096);
      await space.trim(4097, 8190);
      await space.trim(90_000, 10_000);
      assert.deepEqual(calls, [
        [punch, 4096, 12_288],
        [punch, 4096, 4096],
        // The disk ends within its last block.
        [punch, 90_112, 9888],
      ]);
    });
  }

  test('that is impossible here is not tried again', async () => {
    const { space, calls } = makeSpace(false, -EOPNOTSUPP);
    assert.equal(space.canPunch, true);
    await space.trim(0, 4096);
    assert.equal(space.canPunch, false);
    await space.trim(0, 4096);
    assert.equal(calls.length, 1);
  });

  test('that fails is an error', async () => {
    const { space } = makeSpace(false, -EIO);
    await assert.rejects(space.trim(0, 4096), { name: 'NbdError', code: 'EIO' });
    assert.equal(space.canPunch, true);
  });
});

describe('zeroing', () => {
  test('a file is exact', async () => {
    const { space, calls } = makeSpace(false);
    assert.deepEqual(await space.zero(1, 10, plain), { start: 1, end: 11 });
    assert.deepEqual(await space.zero(5, 9000, { noHole: true, fast: true }), {
      start: 5,
      end: 9005,
    });
    assert.deepEqual(calls, [
      [punch, 1, 10],
      [zero, 5, 9000],
    ]);
  });

  test('a block device leaves the edges to be written', async () => {
    const { space, calls } = makeSpace(true);
    assert.deepEqual(await space.zero(1, 9000, plain), { start: 4096, end: 8192 });
    assert.equal(await space.zero(1, 4096, plain), undefined);
    assert.deepEqual(calls, [[punch, 4096, 4096]]);
  });

  test('does without a hole where there is none', async () => {
    const { space, calls } = makeSpace(true, -EOPNOTSUPP);
    assert.deepEqual(await space.zero(0, 4096, plain), { start: 0, end: 4096 });
    assert.deepEqual(calls, [
      [punch, 0, 4096],
      [zero, 0, 4096],
    ]);
  });

  test('a block device is not called fast where the kernel may write the zeros', async () => {
    const { space, calls } = makeSpace(true, -EOPNOTSUPP);
    assert.equal(await space.zero(0, 4096, { noHole: true, fast: true }), undefined);
    assert.equal(await space.zero(0, 4096, { noHole: false, fast: true }), undefined);
    assert.deepEqual(calls, [[punch, 0, 4096]]);
  });

  test('a device of large blocks is written to where a range does not fit them', async () => {
    const { space } = makeSpace(true, -EINVAL, -EINVAL);
    assert.equal(await space.zero(4096, 4096, plain), undefined);
    assert.deepEqual(await space.zero(65_536, 4096, plain), { start: 65_536, end: 69_632 });
  });

  test('is not possible without the addon', async () => {
    const file = { fd: 1, size: 100_000, blockDevice: false };
    const space = new Space(file, undefined, () => undefined);
    assert.equal(space.canPunch, false);
    assert.equal(await space.zero(0, 4096, plain), undefined);
    await space.trim(0, 4096);
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
    const fallocate: NativeAddon['fallocate'] = (_fd, _mode, offset) =>
      new Promise((resolve) => {
        offsets.push(offset);
        waiting.push(() => {
          resolve(answer);
        });
      });
    const space = new Space({ fd: 1, size, blockDevice: true }, fallocate, () => {
      if (!open) throw new Error('closed');
    });
    const next = async (): Promise<void> => {
      waiting.shift()?.();
      await setImmediate();
    };
    const close = (): void => {
      open = false;
    };
    return { space, offsets, waiting, next, close };
  }

  test('is done in slices, one at a time of all requests, in turn', async () => {
    const { space, offsets, waiting, next } = slowDevice();
    const done = Promise.all([space.trim(0, 3 * slice), space.trim(5 * slice, 2 * slice)]);
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

  test('is cut short where the disk is closed', async () => {
    const { space, offsets, next, close } = slowDevice();
    const cut = assert.rejects(space.trim(0, size), { message: 'closed' });
    await setImmediate();
    close();
    await next();
    await cut;
    assert.deepEqual(offsets, [0]);
  });

  test('is zero as far as the device could do it, and the rest is for who asked', async () => {
    const answers = [0, 0, -EOPNOTSUPP];
    const fallocate = (): Promise<number> => Promise.resolve(answers.shift() ?? -EIO);
    const space = new Space({ fd: 1, size, blockDevice: true }, fallocate, () => undefined);
    for (const fast of [true, false]) {
      assert.deepEqual(
        await space.zero(slice, 5 * slice, { noHole: false, fast }),
        fast ? { start: slice, end: 3 * slice } : undefined,
      );
      answers.push(-EOPNOTSUPP);
    }
  });

  test('that fails holds up no other', async () => {
    const answers = [-EIO];
    const fallocate = (): Promise<number> => Promise.resolve(answers.shift() ?? 0);
    const space = new Space({ fd: 1, size, blockDevice: true }, fallocate, () => undefined);
    const failing = assert.rejects(space.trim(0, 3 * slice), { code: 'EIO' });
    await space.trim(3 * slice, 3 * slice);
    await failing;
  });

  test('is refused at once where there is no such operation, whatever others wait for', async () => {
    const { space, waiting, offsets } = slowDevice(-EOPNOTSUPP);
    const first = space.zero(0, slice, { noHole: true, fast: false });
    await setImmediate();
    waiting.shift()?.();
    assert.equal(await first, undefined);
    void space.trim(0, slice);
    await setImmediate();
    assert.equal(waiting.length, 1);
    assert.equal(await space.zero(0, slice, { noHole: true, fast: false }), undefined);
    assert.equal(offsets.length, 2);
  });
});
