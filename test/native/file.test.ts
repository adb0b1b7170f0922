import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { descriptorKind, fallocateMode } from '../../lib/native/addon.js';
import { fallocate, findData } from './support/file-work.js';
import {
  failure,
  native,
  openUntilEnd,
  pipeFd,
  temporaryFile,
  withoutAddon,
} from './support/native.js';

const noFd = 2 ** 30;
const mebibyte = 2 ** 20;
const { keepSize, punchHole, zeroRange } = fallocateMode;

describe('preadNoWait', { skip: withoutAddon }, () => {
  it('reads cached bytes at an offset, and fewer at the end of the file', (t) => {
    const { fd, expected } = cachedFile(t, 10_000);
    if (!readsWithoutWaiting(t, fd)) return;
    const bytes = new Uint8Array(1_000).fill(0xee);
    assert.equal(native().preadNoWait(fd, bytes, 100, 800, 5_000), 800);
    const around = [Buffer.alloc(100, 0xee), expected.subarray(5_000, 5_800)];
    assert.deepEqual(bytes, new Uint8Array(Buffer.concat([...around, Buffer.alloc(100, 0xee)])));
    assert.equal(native().preadNoWait(fd, bytes, 0, 1_000, 9_700), 300);
    assert.deepEqual(bytes.subarray(0, 300), new Uint8Array(expected.subarray(9_700)));
    assert.equal(native().preadNoWait(fd, bytes, 0, 1_000, 10_000), 0);
    assert.equal(native().preadNoWait(fd, bytes, 1_000, 0, 0), 0);
  });

  it('reads beyond 4 GiB, and into a SharedArrayBuffer', (t) => {
    const { fd } = temporaryFile(t);
    const expected = randomBytes(100);
    const position = 5 * 2 ** 30;
    writeSync(fd, expected, 0, 100, position);
    if (!readsWithoutWaiting(t, fd)) return;
    const bytes = new Uint8Array(new SharedArrayBuffer(200), 50, 100);
    assert.equal(native().preadNoWait(fd, bytes, 0, 100, position), 100);
    assert.ok(Buffer.from(bytes).equals(expected));
  });

  it('returns -errno for an unsupported descriptor', (t) => {
    const bytes = new Uint8Array(1);
    assert.equal(native().preadNoWait(noFd, bytes, 0, 1, 0), failure('EBADF'));
    assert.equal(native().preadNoWait(pipeFd(t), bytes, 0, 1, 0), failure('ESPIPE'));
  });

  it('throws for a range outside the buffer and for an invalid position', (t) => {
    const { fd } = cachedFile(t, 100);
    const bytes = new Uint8Array(10);
    for (const [at, length, position] of [
      [0, 11, 0],
      [1, 10, 0],
      [11, 0, 0],
      [-1, 1, 0],
      [0, -1, 0],
      [0.5, 1, 0],
      [0, 1.5, 0],
      [0, 1, -1],
      [0, 1, 0.5],
      [0, 1, 2 ** 53],
      [NaN, 1, 0],
    ] as const) {
      assert.throws(() => native().preadNoWait(fd, bytes, at, length, position), RangeError);
    }
    const wrong = [fd, [], 0, 0, 0];
    assert.throws(() => Reflect.apply(native().preadNoWait, undefined, wrong), TypeError);
  });
});

describe('fallocate', { skip: withoutAddon }, () => {
  it('allocates, also beyond the end of the file', async (t) => {
    const { fd } = temporaryFile(t);
    assert.equal(await fallocate(fd, 0, 0, mebibyte), 0);
    assert.equal(fstatSync(fd).size, mebibyte);
    assert.equal(await fallocate(fd, keepSize, mebibyte, mebibyte), 0);
    assert.equal(fstatSync(fd).size, mebibyte);
    assert.ok(fstatSync(fd).blocks * 512 >= 2 * mebibyte);
  });

  it('punches a hole that reads as zeroes', async (t) => {
    const { fd, expected } = cachedFile(t, mebibyte);
    const mode = punchHole | keepSize;
    assert.equal(await fallocate(fd, mode, 64 * 1024, 512 * 1024), 0);
    const bytes = Buffer.alloc(mebibyte);
    readSync(fd, bytes, 0, mebibyte, 0);
    expected.fill(0, 64 * 1024, (64 + 512) * 1024);
    assert.ok(bytes.equals(expected));
  });

  it('returns -errno for what is not supported', async (t) => {
    const { path, fd } = temporaryFile(t);
    assert.equal(await fallocate(noFd, 0, 0, 1), failure('EBADF'));
    assert.equal(await fallocate(openUntilEnd(t, path, 'r'), 0, 0, 1), failure('EBADF'));
    assert.equal(await fallocate(pipeFd(t), 0, 0, 1), failure('ESPIPE'));
    assert.equal(await fallocate(fd, 0, 0, 0), failure('EINVAL'));
    // No file system supports both at once.
    assert.equal(
      await fallocate(fd, keepSize | punchHole | zeroRange, 0, 1),
      failure('EOPNOTSUPP'),
    );
  });

  it('runs many calls in parallel', async (t) => {
    const { fd } = temporaryFile(t);
    const ranges = Array.from({ length: 64 }, (_, index) => index * 4_096);
    const results = await Promise.all(ranges.map((offset) => fallocate(fd, 0, offset, 4_096)));
    assert.deepEqual(
      results,
      ranges.map(() => 0),
    );
    assert.equal(fstatSync(fd).size, 64 * 4_096);
  });
});

describe('findData', { skip: withoutAddon }, () => {
  async function find(fd: number, offset: number, end: number, room = 16): Promise<number[]> {
    const found = new Float64Array(room);
    const count = await findData(fd, offset, end, found);
    return count < 0 ? [count] : [...found.subarray(0, count)];
  }

  it('finds the ranges of data and the end of the file', async (t) => {
    const { fd } = temporaryFile(t);
    ftruncateSync(fd, 8 * mebibyte);
    for (const at of [1, 4]) writeSync(fd, randomBytes(mebibyte), 0, mebibyte, at * mebibyte);
    const pieces = [1, 2, 4, 5].map((number) => number * mebibyte);
    const end = [8 * mebibyte, 8 * mebibyte];
    assert.deepEqual(await find(fd, 0, 8 * mebibyte), [...pieces, ...end]);
    assert.deepEqual(await find(fd, mebibyte + 5, 2 * mebibyte), [mebibyte + 5, 2 * mebibyte]);
    assert.deepEqual(await find(fd, 5 * mebibyte, 6 * mebibyte), end);
    assert.deepEqual(await find(fd, 3, 3), []);
  });

  it('stops when the array is full, and does not write beyond it', async (t) => {
    const { fd } = temporaryFile(t);
    for (const at of [0, 2, 4]) writeSync(fd, randomBytes(mebibyte), 0, mebibyte, at * mebibyte);
    assert.deepEqual(await find(fd, 0, 5 * mebibyte, 3), [0, mebibyte]);
    assert.deepEqual(await find(fd, 0, 5 * mebibyte, 0), []);
    const memory = new Float64Array(6).fill(-7);
    await findData(fd, 0, 5 * mebibyte, memory.subarray(2, 4));
    assert.deepEqual([...memory], [-7, -7, 0, mebibyte, -7, -7]);
  });

  it('stops at the end of the file', async (t) => {
    const { fd } = temporaryFile(t);
    writeSync(fd, randomBytes(mebibyte), 0, mebibyte, 0);
    assert.deepEqual(await find(fd, 0, 9 * mebibyte), [0, mebibyte]);
    assert.deepEqual(await find(fd, mebibyte, 9 * mebibyte), [failure('ENXIO')]);
    assert.deepEqual(await find(fd, 5 * mebibyte, 9 * mebibyte), [failure('ENXIO')]);
  });

  it('returns -errno', async (t) => {
    assert.deepEqual(await find(noFd, 0, 1), [failure('EBADF')]);
    assert.deepEqual(await find(pipeFd(t), 0, 1), [failure('ESPIPE')]);
  });
});

describe('blockDeviceSize', { skip: withoutAddon }, () => {
  it('returns -errno for other descriptors', (t) => {
    assert.equal(native().blockDeviceSize(noFd), failure('EBADF'));
    assert.equal(native().blockDeviceSize(temporaryFile(t).fd), failure('ENOTTY'));
  });

  it('returns the size of a block device in bytes', (t) => {
    const { path, fd: file } = temporaryFile(t);
    ftruncateSync(file, 3 * mebibyte);
    const setup = spawnSync('losetup', ['--find', '--show', path], { encoding: 'utf8' });
    if (setup.status !== 0 && process.env['NBDCORK_REQUIRE_PEERS'] !== '1') {
      t.skip('no loop device can be had: needs losetup and root');
      return;
    }
    assert.equal(setup.status, 0, setup.stderr);
    const device = setup.stdout.trim();
    t.after(() => execFileSync('losetup', ['--detach', device]));
    const fd = openUntilEnd(t, device, 'r');
    assert.equal(native().kindOf(fd), descriptorKind.blockDevice);
    assert.equal(native().blockDeviceSize(fd), 3 * mebibyte);
  });
});

/** A file that was just written, so that its bytes are in the page cache. */
function cachedFile(t: TestContext, length: number): { fd: number; expected: Buffer } {
  const { fd } = temporaryFile(t);
  const expected = randomBytes(length);
  writeSync(fd, expected);
  return { fd, expected };
}

/** Skips the test on a file system without RWF_NOWAIT. */
function readsWithoutWaiting(t: TestContext, fd: number): boolean {
  const answer = native().preadNoWait(fd, new Uint8Array(1), 0, 1, 0);
  if (answer !== failure('EOPNOTSUPP')) return true;
  t.skip('the file system of the temporary folder has no RWF_NOWAIT');
  return false;
}
