/** What was transferred leaves the cache: when, how much of it, and what becomes of errors. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Slice } from '../../../../lib/backend/backend.js';
import { CacheDropper, windowBytes } from '../../../../lib/backend/file/io/cache-dropper.js';
import { openFile, openFileWith } from '../../../../lib/backend/file/open-file.js';
import { WritableFile } from '../../../../lib/backend/file/writable-file.js';
import { pattern } from '../../support/bytes.js';
import { blockDeviceSkip, makeBlockDevice, makeFile, makeFileSystem } from '../../support/disks.js';
import { addonSkip, cachedBytes, canMeasureCache } from '../support/direct.js';

const mebibyte = 2 ** 20;
const skip = addonSkip ?? blockDeviceSkip;

/** A disk that drops a window when it is told to. */
function slowDisk() {
  const dropped: number[] = [];
  const ends: (() => void)[] = [];
  const dropper = new CacheDropper((position, length) => {
    assert.equal(length, windowBytes);
    dropped.push(position / windowBytes);
    return new Promise<void>((resolve) => ends.push(resolve));
  });
  const finish = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise(setImmediate);
  };
  return { dropper, dropped, finish };
}

describe('windows leave the cache', () => {
  test('when all of them was transferred, one at a time', async () => {
    const { dropper, dropped, finish } = slowDisk();
    dropper.used(0, windowBytes - 1);
    assert.deepEqual(dropped, []);
    dropper.used(windowBytes - 1, 2 * windowBytes);
    assert.deepEqual(dropped, [0]);
    await finish();
    assert.deepEqual(dropped, [0, 1]);
    await finish();
    assert.deepEqual(dropped, [0, 1]);
    dropper.used(0, windowBytes);
    assert.deepEqual(dropped, [0, 1, 0]);
  });

  test('when many others were used since', async () => {
    const { dropper, dropped, finish } = slowDisk();
    for (let window = 0; window < 16; window++) dropper.used(window * windowBytes, 4096);
    dropper.used(0, 4096);
    assert.deepEqual(dropped, []);
    dropper.used(16 * windowBytes, 4096);
    assert.deepEqual(dropped, [1]);
    // Those that wait are few, whatever clients do.
    for (let window = 17; window < 200; window++) dropper.used(window * windowBytes, 4096);
    for (let count = 0; count < 200; count++) await finish();
    assert.ok(dropped.length < 15, `${dropped.length} windows`);
  });

  test('all together, when the disk is closed', async () => {
    const dropped: string[] = [];
    const dropper = new CacheDropper((position, length) => {
      dropped.push(`${position}+${length}`);
      return Promise.resolve();
    });
    dropper.used(0, windowBytes);
    dropper.used(windowBytes, 4096);
    await dropper.close();
    assert.deepEqual(dropped, [`0+${windowBytes}`, '0+0']);
  });

  test('when the disk is flushed', async () => {
    const { dropper, dropped, finish } = slowDisk();
    await dropper.dropAll();
    dropper.used(3 * windowBytes - 4096, 8192);
    const all = dropper.dropAll();
    await finish();
    await finish();
    await all;
    assert.deepEqual(dropped, [2, 3]);
  });

  test('before many more are written', async () => {
    const { dropper, finish } = slowDisk();
    let written = 0;
    for (let window = 0; window < 12; window++) {
      const write = dropper.afterWrite(Promise.resolve(), window * windowBytes, windowBytes);
      void write.then(() => written++);
    }
    await new Promise(setImmediate);
    assert.equal(written, 9);
    for (let count = 0; count < 12; count++) await finish();
    assert.equal(written, 12);
  });
});

/** How many bytes are cached after a copy to a disk of 64 MiB, and after one from it. */
async function copy(t: TestContext, dropCache: boolean) {
  const path = await makeFile(t, 64 * mebibyte);
  const piece = pattern(mebibyte, 1);
  const disk = await openFile(path, { dropCache });
  assert.ok(disk instanceof WritableFile);
  for (let at = 0; at < disk.size; at += piece.length) await disk.write(at, piece, { fua: false });
  await disk.close();
  const written = cachedBytes(path);
  const again = await openFile(path, { dropCache, readOnly: true });
  for (let at = 0; at < again.size; at += piece.length) await again.read(at, piece.length);
  await again.close();
  return { written, read: cachedBytes(path) };
}

describe('a file of 64 MiB', () => {
  test('leaves the cache behind a copy', { skip: addonSkip }, async (t) => {
    if (!canMeasureCache(t)) return;
    const { written, read } = await copy(t, true);
    assert.ok(written <= mebibyte, `${written} bytes after writing`);
    assert.ok(read <= mebibyte, `${read} bytes after reading`);
  });

  test('is not mapped, since mapped pages stay in the cache', { skip: addonSkip }, async (t) => {
    const path = await makeFile(t, 64 * mebibyte);
    const disk = await openFile(path, { dropCache: true });
    await disk.read(0, 4096);
    const slice: Slice = { memory: new Uint8Array(0), start: 0, acceptsMapping: true };
    disk.readSlice(0, 4096, slice);
    assert.equal(slice.mapped, undefined);
    await disk.close();
  });

  test('leaves the cache with what the system has read ahead', { skip: addonSkip }, async (t) => {
    if (!canMeasureCache(t)) return;
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(64 * mebibyte, 2));
    const disk = await openFile(path, { dropCache: true });
    await disk.read(0, 4096);
    await disk.close();
    assert.ok(cachedBytes(path) <= mebibyte, `${cachedBytes(path)} bytes`);
  });

  test('stays in the cache otherwise', { skip: addonSkip }, async (t) => {
    if (!canMeasureCache(t)) return;
    const { written, read } = await copy(t, false);
    assert.ok(written > 32 * mebibyte, `${written} bytes after writing`);
    assert.ok(read > 32 * mebibyte, `${read} bytes after reading`);
  });

  test('cannot leave the cache without the addon', async (t) => {
    const opening = openFileWith(await makeFile(t, mebibyte), { dropCache: true }, {});
    await assert.rejects(opening, { code: 'NBDCORK_OPEN_FAILED', message: /needs the addon/ });
  });
});

test('a write that fails on its way out of the cache fails the flush', { skip }, async (t) => {
  const folder = await makeFileSystem(t, 96 * mebibyte);
  const path = join(folder, 'disk.img');
  await writeFile(path, Buffer.alloc(88 * mebibyte));
  const device = await makeBlockDevice(t, path);
  // The device has no space for its first window any more.
  execFileSync('fallocate', ['--punch-hole', '--offset', '0', '--length', `${windowBytes}`, path]);
  const filler = Buffer.alloc(mebibyte);
  const filling = open(join(folder, 'filler'), 'w').then(async (file) => {
    try {
      for (;;) await file.write(filler);
    } finally {
      await file.close();
    }
  });
  await assert.rejects(filling, { code: 'ENOSPC' });
  const disk = await openFile(device, { dropCache: true });
  assert.ok(disk instanceof WritableFile);
  const window = pattern(windowBytes, 1);
  // The last of them waits until the first windows have left the cache.
  for (let at = 0; at < disk.size; at += windowBytes) await disk.write(at, window, { fua: false });
  await assert.rejects(disk.flush(), /Writes may be lost/);
  await disk.close();
});
