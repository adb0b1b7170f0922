/** What memory and files know of their holes, beyond what the contract asks of every backend. */
import assert from 'node:assert/strict';
import { open, truncate } from 'node:fs/promises';
import { constants } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import type { Backend, Extent } from '../../lib/backend/backend.js';
import { openFile, openFileWith } from '../../lib/backend/file/open-file.js';
import { MemoryBackend } from '../../lib/backend/memory/memory-backend.js';
import type { FileNative } from '../../lib/backend/file/readable-file.js';
import { openSource } from '../../lib/sources/open-source.js';
import { codeOf } from '../../lib/errors.js';
import { addon } from '../../lib/native/load.js';
import {
  blockDeviceSkip,
  makeBlockDevice,
  makeFile,
  makeFileSystem,
  mountSkip,
} from './support/disks.js';

const mebibyte = 2 ** 20;
const sizeMax = Number.MAX_SAFE_INTEGER;
const withoutAddon = addon === undefined && 'the addon is not there';

async function extentsOf(
  disk: Backend,
  offset = 0,
  length = disk.size - offset,
  one = false,
): Promise<[number, string][]> {
  assert.ok(disk.extents !== undefined);
  const extents: Iterable<Extent> = await disk.extents(offset, length, { one });
  return [...extents].map((extent) => [extent.length, kindOf(extent)]);
}

function kindOf({ hole, zero }: Extent): string {
  assert.equal(hole, zero, 'what has no storage reads as zeros');
  return hole ? 'hole' : 'data';
}

describe("memory's extents", () => {
  test('are its chunks', async () => {
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
    disk.trim(3 * mebibyte, mebibyte);
    assert.deepEqual(await extentsOf(disk, 0, 5), [[10 * mebibyte, 'hole']]);
  });

  test('are found at once on the largest sparse disk', async () => {
    const disk = new MemoryBackend(sizeMax, { chunkBytes: 4096 });
    for (const offset of [2 ** 40, 2 ** 52]) disk.write(offset, new Uint8Array(1));
    assert.deepEqual(await extentsOf(disk), [
      [2 ** 40, 'hole'],
      [4096, 'data'],
      [2 ** 52 - 2 ** 40 - 4096, 'hole'],
      [4096, 'data'],
      [sizeMax - 2 ** 52 - 4096, 'hole'],
    ]);
    disk.trim(0, sizeMax);
    assert.deepEqual(await extentsOf(disk), [[sizeMax, 'hole']]);
    assert.equal(disk.allocatedBytes, 0);
  });

  test('follow the disk when it is resized', async () => {
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

  test('are there on a disk that is served read-only', async () => {
    const disk = await openSource('memory:1M', { readOnly: true });
    assert.deepEqual(await extentsOf(disk), [[mebibyte, 'hole']]);
  });
});

describe("a file's extents", () => {
  /** 8 MiB with data in the second and the fifth. */
  async function sparse(
    t: TestContext,
    native?: FileNative,
  ): Promise<{ disk: Backend; path: string }> {
    const path = await makeFile(t, 8 * mebibyte);
    const file = await open(path, 'r+');
    const data = Buffer.alloc(mebibyte, 1);
    for (const place of [1, 4]) await file.write(data, 0, data.length, place * mebibyte);
    await file.close();
    const disk = await openFileWith(path, { readOnly: true }, native);
    t.after(() => disk.close());
    return { disk, path };
  }

  const layout: [number, string][] = [
    [mebibyte, 'hole'],
    [mebibyte, 'data'],
    [2 * mebibyte, 'hole'],
    [mebibyte, 'data'],
    [3 * mebibyte, 'hole'],
  ];

  test('are those of its file system', { skip: withoutAddon }, async (t) => {
    const { disk } = await sparse(t);
    assert.deepEqual(await extentsOf(disk), layout);
    assert.deepEqual(await extentsOf(disk, mebibyte + 10, 20, true), [[mebibyte - 10, 'data']]);
    assert.deepEqual((await extentsOf(disk, 5, 20, true))[0], [mebibyte - 5, 'hole']);
    assert.deepEqual(await extentsOf(disk, 5 * mebibyte, 1), [[3 * mebibyte, 'hole']]);
  });

  test('are those of a file system in memory', { skip: withoutAddon || mountSkip }, async (t) => {
    const path = `${await makeFileSystem(t, 16 * mebibyte)}/disk.img`;
    const file = await open(path, 'w');
    await file.write(Buffer.alloc(4096, 1), 0, 4096, 8192);
    await file.truncate(65_536);
    await file.close();
    const disk = await openFile(path);
    t.after(() => disk.close());
    assert.deepEqual(await extentsOf(disk), [
      [8192, 'hole'],
      [4096, 'data'],
      [53_248, 'hole'],
    ]);
  });

  test(
    'end where the file has been cut, and there is no more to tell behind',
    { skip: withoutAddon },
    async (t) => {
      const { disk, path } = await sparse(t);
      await truncate(path, 3 * mebibyte);
      assert.deepEqual(await extentsOf(disk), [...layout.slice(0, 2), [mebibyte, 'hole']]);
      for (const offset of [3 * mebibyte, 4 * mebibyte]) {
        await assert.rejects(extentsOf(disk, offset), (error) => codeOf(error) === 'EIO');
      }
    },
  );

  test('do not go past the disk where the file has grown', { skip: withoutAddon }, async (t) => {
    const { disk, path } = await sparse(t);
    await truncate(path, 90 * mebibyte);
    assert.deepEqual(await extentsOf(disk), layout);
  });

  test(
    'are a part of them where there are many, and go on from there',
    { skip: withoutAddon },
    async (t) => {
      const path = await makeFile(t, 1500 * 65_536);
      const file = await open(path, 'r+');
      for (let at = 0; at < 1500; at++)
        await file.write(Buffer.alloc(4096, 1), 0, 4096, at * 65_536);
      await file.close();
      const disk = await openFile(path);
      t.after(() => disk.close());
      const first = await extentsOf(disk);
      const covered = first.reduce((sum, [length]) => sum + length, 0);
      assert.ok(first.length < 3000 && covered < disk.size);
      const all = [...first, ...(await extentsOf(disk, covered))];
      assert.deepEqual(
        all,
        Array.from({ length: 3000 }, (_, index) =>
          index % 2 === 0 ? [4096, 'data'] : [61_440, 'hole'],
        ),
      );
    },
  );

  const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;
  const answers: Readonly<Record<string, FileNative>> = {
    'without the addon': {},
    'on a file system without holes': { findData: () => Promise.resolve(-EINVAL) },
    'on one that does not know the question': { findData: () => Promise.resolve(-EOPNOTSUPP) },
    'where holes are made while it looks': { findData: () => Promise.resolve(0) },
  };
  for (const [what, native] of Object.entries(answers)) {
    test(`are all data ${what}`, async (t) => {
      const { disk } = await sparse(t, native);
      assert.deepEqual(await extentsOf(disk, 10, 100), [[100, 'data']]);
    });
  }

  test('fail with what the system says', async (t) => {
    const { disk } = await sparse(t, { findData: () => Promise.resolve(-EIO) });
    await assert.rejects(extentsOf(disk), (error) => codeOf(error) === 'EIO');
  });

  test(
    'are waited for when it is closed, and not told afterwards',
    { skip: withoutAddon },
    async (t) => {
      const disk = await openFile(await makeFile(t, mebibyte));
      const [told] = await Promise.all([extentsOf(disk), disk.close()]);
      assert.deepEqual(told, [[mebibyte, 'hole']]);
      await assert.rejects(extentsOf(disk), (error) => codeOf(error) === 'ESHUTDOWN');
    },
  );

  test('are all data on a block device', { skip: blockDeviceSkip }, async (t) => {
    const disk = await openFile(await makeBlockDevice(t, await makeFile(t, mebibyte)));
    try {
      assert.deepEqual(await extentsOf(disk, 512, 1024), [[1024, 'data']]);
    } finally {
      await disk.close();
    }
  });
});
