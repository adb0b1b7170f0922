import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBackend } from '../../../lib/backend/memory/memory-backend.js';
import { extentsOf } from '../support/extents.js';

const mebibyte = 2 ** 20;
const sizeMax = Number.MAX_SAFE_INTEGER;

describe('the extents of a memory disk', () => {
  test('are its chunks and the holes between them', async () => {
    const disk = new MemoryBackend(10 * mebibyte + 7, { chunkBytes: mebibyte });
    assert.deepEqual(await extentsOf(disk), [[disk.size, 'hole']]);
    disk.write(3 * mebibyte + 5, new Uint8Array(1));
    disk.write(10 * mebibyte + 1, new Uint8Array(1));
    assert.deepEqual(await extentsOf(disk), [
      [3 * mebibyte, 'hole'],
      [mebibyte, 'data'],
      [6 * mebibyte, 'hole'],
      [7, 'data'],
    ]);
    assert.deepEqual(await extentsOf(disk, 3 * mebibyte - 1, 2), [
      [1, 'hole'],
      [mebibyte, 'data'],
    ]);
    await disk.trim(3 * mebibyte, mebibyte);
    assert.deepEqual(await extentsOf(disk, 0, 5), [[10 * mebibyte, 'hole']]);
  });

  test('are found without a scan of the largest disk', async () => {
    const disk = new MemoryBackend(sizeMax, { chunkBytes: 4096 });
    for (const offset of [2 ** 40, 2 ** 52]) disk.write(offset, new Uint8Array(1));
    assert.deepEqual(await extentsOf(disk), [
      [2 ** 40, 'hole'],
      [4096, 'data'],
      [2 ** 52 - 2 ** 40 - 4096, 'hole'],
      [4096, 'data'],
      [sizeMax - 2 ** 52 - 4096, 'hole'],
    ]);
    await disk.trim(0, sizeMax);
    assert.deepEqual(await extentsOf(disk), [[sizeMax, 'hole']]);
    assert.equal(disk.allocatedBytes, 0);
  });

  test('follow a resize', async () => {
    const disk = new MemoryBackend(mebibyte + 1000, { chunkBytes: mebibyte });
    disk.write(mebibyte, new Uint8Array(10));
    disk.resize(3 * mebibyte);
    assert.deepEqual(await extentsOf(disk), [
      [mebibyte, 'hole'],
      [mebibyte, 'data'],
      [mebibyte, 'hole'],
    ]);
    disk.resize(mebibyte);
    assert.deepEqual(await extentsOf(disk), [[mebibyte, 'hole']]);
  });
});
