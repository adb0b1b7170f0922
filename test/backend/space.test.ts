/** Which ranges are asked of fallocate, and what its answers lead to. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { Space } from '../../lib/backend/space.js';
import { fallocateMode } from '../../lib/native/addon.js';

const punch = fallocateMode.punchHole | fallocateMode.keepSize;
const zero = fallocateMode.zeroRange | fallocateMode.keepSize;
const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;

type Call = readonly [mode: number, offset: number, length: number];

/** A file of 100,000 bytes, whose fallocate answers `answers` in turn, then 0. */
function makeSpace(blockDevice: boolean, ...answers: number[]): { space: Space; calls: Call[] } {
  const calls: Call[] = [];
  const space = new Space({ fd: 1, size: 100_000, blockDevice }, (_fd, mode, offset, length) => {
    calls.push([mode, offset, length]);
    return Promise.resolve(answers.shift() ?? 0);
  });
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
    const space = new Space({ fd: 1, size: 100_000, blockDevice: false }, undefined);
    assert.equal(space.canPunch, false);
    assert.equal(await space.zero(0, 4096, plain), undefined);
    await space.trim(0, 4096);
  });
});
