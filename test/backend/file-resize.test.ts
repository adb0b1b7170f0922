import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { openFile, openFileWith } from '../../lib/backend/file.js';
import { WritableFile } from '../../lib/backend/writable-file.js';
import { addon } from '../../lib/native/load.js';
import { makeFile } from './support/disks.js';

const mebibyte = 2 ** 20;

describe('resizing a file', () => {
  test('is done once at a time, in order, and a disk is never read past its end', async (t) => {
    const path = await makeFile(t, mebibyte);
    const disk = await openFile(path);
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const grown = disk.resize(2 * mebibyte);
    const shrunk = disk.resize(mebibyte / 2);
    await grown;
    // The file is being cut by now.
    assert.equal(disk.size, mebibyte / 2);
    await shrunk;
    assert.equal(disk.size, mebibyte / 2);
    assert.equal((await stat(path)).size, mebibyte / 2);
    await disk.close();
  });

  test('that fails holds up no other', async (t) => {
    const disk = await openFile(await makeFile(t, mebibyte));
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const failing = assert.rejects(disk.resize(1.5), { name: 'NbdError' });
    await disk.resize(2 * mebibyte);
    await failing;
    assert.equal(disk.size, 2 * mebibyte);
    await disk.close();
  });

  for (const native of [{}, ...(addon === undefined ? [] : [addon])]) {
    const how = native === addon ? 'with the addon' : 'without it';
    test(`is not undone by what was begun before, ${how}`, async (t) => {
      const path = await makeFile(t, 16 * mebibyte);
      const disk = await openFileWith(path, {}, native);
      assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
      const options = { fua: false, noHole: true, fast: false };
      const begun = [
        disk.write(12 * mebibyte, Buffer.alloc(mebibyte, 1), { fua: false }),
        disk.writeZeroes(0, 16 * mebibyte, options),
        disk.writeZeroes(8 * mebibyte, mebibyte, { ...options, noHole: false }),
      ];
      await disk.resize(4096);
      assert.equal((await stat(path)).size, 4096);
      await Promise.all(begun);
      assert.equal((await stat(path)).size, 4096);
      await disk.close();
    });
  }

  test('is not undone by looking for its size meanwhile', async (t) => {
    const path = await makeFile(t, 16 * mebibyte);
    const disk = await openFile(path);
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const begun = disk.write(8 * mebibyte, Buffer.alloc(8 * mebibyte, 1), { fua: false });
    const resized = disk.resize(4096);
    await disk.measure();
    assert.equal(disk.size, 4096);
    await Promise.all([begun, resized]);
    assert.equal((await stat(path)).size, 4096);
    await disk.close();
  });

  test('that fails leaves nothing out of what is zeroed meanwhile', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, Buffer.alloc(32 * mebibyte, 1));
    const disk = await openFileWith(path, {}, {});
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const options = { fua: false, noHole: true, fast: false };
    // The size is the new one until this is done.
    const begun = disk.write(16 * mebibyte, Buffer.alloc(16 * mebibyte), { fua: false });
    const zeroed = disk.writeZeroes(0, 16 * mebibyte, options);
    await assert.rejects(disk.resize(1.5 * mebibyte + 0.5), { name: 'NbdError' });
    await Promise.all([begun, zeroed]);
    assert.ok((await readFile(path)).equals(Buffer.alloc(32 * mebibyte)));
    await disk.close();
  });
});
