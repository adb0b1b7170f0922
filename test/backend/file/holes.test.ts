/** Reads of files that have holes, which need not be read to be known. */
import assert from 'node:assert/strict';
import { open, truncate } from 'node:fs/promises';
import { constants } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import type { Backend } from '../../../lib/backend/backend.js';
import { openFileWith } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/readable-file.js';
import { isZeroPiece } from '../../../lib/backend/zeros.js';
import { addon } from '../../../lib/native/load.js';
import { pattern } from '../../support/disks.js';
import { makeFile } from '../support/disks.js';

const mebibyte = 2 ** 20;
const withoutAddon = addon === undefined && 'the addon is not there';
const { EINVAL, EIO } = constants.errno;

describe('a read of a file', () => {
  /** 4 MiB with data in the second. */
  async function sparse(t: TestContext, native?: FileNative) {
    const path = await makeFile(t, 4 * mebibyte);
    const file = await open(path, 'r+');
    await file.write(pattern(mebibyte), 0, mebibyte, mebibyte);
    await file.close();
    const disk = await openFileWith(path, { readOnly: true }, native);
    t.after(() => disk.close());
    const content = Buffer.alloc(4 * mebibyte);
    content.set(pattern(mebibyte), mebibyte);
    return { disk, path, content };
  }

  async function pieces(disk: Backend, offset: number, length: number) {
    const bytes = await disk.read(offset, length);
    return bytes instanceof Uint8Array ? [bytes] : bytes;
  }

  test('that is one hole is known to be zeros', { skip: withoutAddon }, async (t) => {
    const { disk } = await sparse(t);
    for (const [offset, length] of [
      [2 * mebibyte, 2 * mebibyte],
      [7, mebibyte - 7],
    ] as const) {
      const told = await pieces(disk, offset, length);
      assert.ok(told.every(isZeroPiece));
      assert.equal(
        told.reduce((sum, piece) => sum + piece.length, 0),
        length,
      );
    }
  });

  for (const [what, native] of Object.entries<FileNative | undefined>({
    'that is partly a hole': undefined,
    'where looking for holes fails': { findData: () => Promise.resolve(-EIO) },
    'on a file system without holes': { findData: () => Promise.resolve(-EINVAL) },
  })) {
    test(`${what} is the data`, async (t) => {
      const { disk, content } = await sparse(t, native);
      for (const [offset, length] of [
        [0, mebibyte + 1],
        [2 * mebibyte - 1, 2 * mebibyte],
        [mebibyte + 5, 300_000],
        [0, 4 * mebibyte],
        [2 * mebibyte, 100_000],
      ] as const) {
        const told = Buffer.concat(await pieces(disk, offset, length));
        assert.ok(told.equals(content.subarray(offset, offset + length)));
      }
    });
  }

  test('that has become shorter, to a hole, fails', async (t) => {
    const { disk, path } = await sparse(t);
    await truncate(path, mebibyte / 2);
    for (const offset of [0, mebibyte / 2, 2 * mebibyte]) {
      await assert.rejects(async () => disk.read(offset, mebibyte), { code: 'EIO' });
    }
  });
});
