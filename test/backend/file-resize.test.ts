import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { openFile } from '../../lib/backend/file.js';
import { WritableFile } from '../../lib/backend/writable-file.js';
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
});
