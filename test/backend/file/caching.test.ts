/** CACHE on files: a hint, which keeps nobody waiting for long. */
import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { openFile } from '../../../lib/backend/file/open-file.js';
import { cacheBytesMax } from '../../../lib/backend/file/readable-file.js';
import { codeOf } from '../../../lib/errors.js';
import { makeFile } from '../support/disks.js';

describe('caching a file', () => {
  test('reads no more of a range than cacheBytesMax', async (t) => {
    const path = await makeFile(t, 2 * cacheBytesMax);
    const disk = await openFile(path, { readOnly: true });
    // Reading on would find the end.
    await truncate(path, cacheBytesMax);
    await disk.cache(0, 2 * cacheBytesMax);
    await assert.rejects(disk.cache(1, 2 * cacheBytesMax), { message: /shorter than the disk/ });
    await disk.cache(0, 1);
    await disk.close();
  });

  test('of a long range lets a short one pass', async (t) => {
    const disk = await openFile(await makeFile(t, cacheBytesMax), { readOnly: true });
    const done: string[] = [];
    const long = disk.cache(0, cacheBytesMax).then(() => done.push('long'));
    const short = disk.cache(0, 2 ** 20).then(() => done.push('short'));
    await Promise.all([long, short]);
    assert.deepEqual(done, ['short', 'long']);
    await disk.close();
  });

  test('ends when the disk is closed, whoever had a turn', async (t) => {
    const disk = await openFile(await makeFile(t, cacheBytesMax), { readOnly: true });
    let read = 0;
    const caching = Array.from({ length: 50 }, () =>
      disk.cache(0, cacheBytesMax).then(() => read++),
    );
    const settled = Promise.allSettled(caching);
    await disk.close();
    for (const result of await settled) {
      assert.ok(result.status === 'rejected');
      assert.equal(codeOf(result.reason), 'ESHUTDOWN');
    }
    assert.equal(read, 0);
  });
});
