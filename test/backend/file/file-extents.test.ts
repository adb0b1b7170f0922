import assert from 'node:assert/strict';
import { open, truncate } from 'node:fs/promises';
import { constants } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import type { Backend } from '../../../lib/backend/backend.js';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/io/file-io.js';
import { codeOf } from '../../../lib/errors.js';
import { addon } from '../../../lib/native/load.js';
import {
  blockDeviceSkip,
  makeBlockDevice,
  makeFile,
  makeFileSystem,
  mountSkip,
} from '../support/disks.js';
import { extentsOf } from '../support/extents.js';

const mebibyte = 2 ** 20;
const withoutAddon = addon === undefined && 'the addon is missing';

describe('the extents of a file', () => {
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

  test('end at the end of a truncated file and fail past it', { skip: withoutAddon }, async (t) => {
    const { disk, path } = await sparse(t);
    await truncate(path, 3 * mebibyte);
    assert.deepEqual(await extentsOf(disk), [...layout.slice(0, 2), [mebibyte, 'hole']]);
    for (const offset of [3 * mebibyte, 4 * mebibyte]) {
      await assert.rejects(extentsOf(disk, offset), (error) => codeOf(error) === 'EIO');
    }
  });

  test('end with the disk where the file has grown', { skip: withoutAddon }, async (t) => {
    const { disk, path } = await sparse(t);
    await truncate(path, 90 * mebibyte);
    assert.deepEqual(await extentsOf(disk), layout);
  });

  test('are limited in number, and the next call continues', { skip: withoutAddon }, async (t) => {
    const path = await makeFile(t, 1500 * 65_536);
    const file = await open(path, 'r+');
    for (let at = 0; at < 1500; at++) await file.write(Buffer.alloc(4096, 1), 0, 4096, at * 65_536);
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
  });

  const { EINVAL, EIO, EOPNOTSUPP } = constants.errno;
  const answers: Readonly<Record<string, FileNative>> = {
    'without the addon': {},
    'on a file system without holes': { findData: () => Promise.resolve(-EINVAL) },
    'on one without SEEK_DATA': { findData: () => Promise.resolve(-EOPNOTSUPP) },
    'where data becomes a hole during the search': { findData: () => Promise.resolve(0) },
  };
  for (const [what, native] of Object.entries(answers)) {
    test(`are all data ${what}`, async (t) => {
      const { disk } = await sparse(t, native);
      assert.deepEqual(await extentsOf(disk, 10, 100), [[100, 'data']]);
    });
  }

  test('fail with the error of the system', async (t) => {
    const { disk } = await sparse(t, { findData: () => Promise.resolve(-EIO) });
    await assert.rejects(extentsOf(disk), (error) => codeOf(error) === 'EIO');
  });

  test('are awaited by closing, and fail afterwards', { skip: withoutAddon }, async (t) => {
    const disk = await openFile(await makeFile(t, mebibyte));
    const [told] = await Promise.all([extentsOf(disk), disk.close()]);
    assert.deepEqual(told, [[mebibyte, 'hole']]);
    await assert.rejects(extentsOf(disk), (error) => codeOf(error) === 'ESHUTDOWN');
  });

  test('are all data on a block device', { skip: blockDeviceSkip }, async (t) => {
    const disk = await openFile(await makeBlockDevice(t, await makeFile(t, mebibyte)));
    try {
      assert.deepEqual(await extentsOf(disk, 512, 1024), [[1024, 'data']]);
    } finally {
      await disk.close();
    }
  });
});
