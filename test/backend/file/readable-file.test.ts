import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { open, truncate, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import type { Backend } from '../../../lib/backend/backend.js';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/io/file-io.js';
import { cacheBytesMax } from '../../../lib/backend/file/readable-file.js';
import { isZeroPiece } from '../../../lib/backend/zeros.js';
import { codeOf } from '../../../lib/errors.js';
import { addon } from '../../../lib/native/load.js';
import { assertSame, joined, pattern } from '../support/bytes.js';
import { makeFile } from '../support/disks.js';

const mebibyte = 2 ** 20;
const withoutAddon = addon === undefined && 'the addon is missing';
const { EAGAIN, EINVAL, EIO, EOPNOTSUPP } = constants.errno;

describe('reading a file', () => {
  test('a read longer than the limit for cached reads is complete', async (t) => {
    const path = await makeFile(t, 0);
    const content = pattern(5 * mebibyte + 3, 3);
    await writeFile(path, content);
    const disk = await openFile(path);
    assertSame(joined(await disk.read(1, content.length - 1)), content.subarray(1));
    await disk.close();
  });

  test('bytes that were read do not change during later reads', async (t) => {
    const path = await makeFile(t, 0);
    const content = pattern(4 * mebibyte, 4);
    await writeFile(path, content);
    const disk = await openFile(path);
    const replies: { offset: number; bytes: Buffer }[] = [];
    for (let offset = 0; offset + 50_000 < content.length; offset += 3001) {
      const slice = { memory: new Uint8Array(0), start: 0 };
      const length = 1 + (offset % 50_000);
      const bytes = disk.readSlice(offset, length, slice)
        ? slice.memory.subarray(slice.start, slice.start + length)
        : await disk.read(offset, length);
      assert.ok(bytes instanceof Uint8Array);
      replies.push({ offset, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, length) });
    }
    for (const { offset, bytes } of replies) {
      assertSame(bytes, content.subarray(offset, offset + bytes.length));
    }
    await disk.close();
  });
});

describe('a cached read', () => {
  test('returns at once, without a promise', async (t) => {
    const content = pattern(100_000, 1);
    const { path, native, calls } = await watched(t, content, (read) => read());
    const disk = await openFileWith(path, {}, native);
    const bytes = disk.read(1000, 50_000);
    assert.ok(bytes instanceof Uint8Array);
    assertSame(bytes, content.subarray(1000, 51_000));
    const slice = { memory: new Uint8Array(0), start: 0 };
    assert.equal(disk.readSlice(70_000, 30_000, slice), true);
    const end = slice.start + 30_000;
    assertSame(slice.memory.subarray(slice.start, end), content.subarray(70_000));
    assert.equal(calls(), 2);
    await disk.close();
  });

  test('falls back to the thread pool', async (t) => {
    const content = pattern(100_000, 2);
    const { path, native, calls } = await watched(t, content, () => -EAGAIN);
    const disk = await openFileWith(path, {}, native);
    for (const expected of [1, 2]) {
      const answer = disk.read(5, 5000);
      assert.ok(answer instanceof Promise);
      assertSame(joined(await answer), content.subarray(5, 5005));
      assert.equal(calls(), expected);
    }
    assert.equal(disk.readSlice(0, 10, { memory: new Uint8Array(0), start: 0 }), false);
    await disk.close();
  });

  test('is not tried again where the system lacks it', async (t) => {
    const content = pattern(1000, 3);
    const { path, native, calls } = await watched(t, content, () => -EOPNOTSUPP);
    const disk = await openFileWith(path, {}, native);
    for (let i = 0; i < 3; i++) assertSame(joined(await disk.read(0, 1000)), content);
    assert.equal(disk.readSlice(0, 10, { memory: new Uint8Array(0), start: 0 }), false);
    assert.equal(calls(), 1);
    await disk.close();
  });

  test('is not tried for a length that would block the event loop', async (t) => {
    const content = pattern(2 * mebibyte, 4);
    const { path, native, calls } = await watched(t, content, (read) => read());
    const disk = await openFileWith(path, {}, native);
    const answer = disk.read(0, 2 * mebibyte);
    assert.ok(answer instanceof Promise);
    assertSame(joined(await answer), content);
    assert.equal(calls(), 0);
    await disk.close();
  });
});

describe('a read of a sparse file', () => {
  /** 4 MiB with data in the second. */
  async function sparse(t: TestContext, native?: FileNative) {
    const path = await makeFile(t, 4 * mebibyte);
    const file = await open(path, 'r+');
    await file.write(pattern(mebibyte, 1), 0, mebibyte, mebibyte);
    await file.close();
    const disk = await openFileWith(path, { readOnly: true }, native);
    t.after(() => disk.close());
    const content = Buffer.alloc(4 * mebibyte);
    content.set(pattern(mebibyte, 1), mebibyte);
    return { disk, path, content };
  }

  async function pieces(disk: Backend, offset: number, length: number) {
    const bytes = await disk.read(offset, length);
    return bytes instanceof Uint8Array ? [bytes] : bytes;
  }

  test('returns shared zeros for a hole', { skip: withoutAddon }, async (t) => {
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
    'of a range that is partly a hole': undefined,
    'where the search for holes fails': { findData: () => Promise.resolve(-EIO) },
    'on a file system without holes': { findData: () => Promise.resolve(-EINVAL) },
  })) {
    test(`returns the data ${what}`, async (t) => {
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

  test('fails past the end of a file that was truncated', async (t) => {
    const { disk, path } = await sparse(t);
    await truncate(path, mebibyte / 2);
    for (const offset of [0, mebibyte / 2, 2 * mebibyte]) {
      await assert.rejects(async () => disk.read(offset, mebibyte), { code: 'EIO' });
    }
  });
});

describe('caching a file', () => {
  test('reads at most cacheBytesMax of a range', async (t) => {
    const path = await makeFile(t, 2 * cacheBytesMax);
    const disk = await openFile(path, { readOnly: true });
    // Reading on would find the end.
    await truncate(path, cacheBytesMax);
    await disk.cache(0, 2 * cacheBytesMax);
    await assert.rejects(disk.cache(1, 2 * cacheBytesMax), { message: /shorter than the disk/ });
    await disk.cache(0, 1);
    await disk.close();
  });

  test('serves a short range before the end of a long one', async (t) => {
    const disk = await openFile(await makeFile(t, cacheBytesMax), { readOnly: true });
    const done: string[] = [];
    const long = disk.cache(0, cacheBytesMax).then(() => done.push('long'));
    const short = disk.cache(0, 2 ** 20).then(() => done.push('short'));
    await Promise.all([long, short]);
    assert.deepEqual(done, ['short', 'long']);
    await disk.close();
  });

  test('fails all requests when the disk is closed', async (t) => {
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

  test('fails early when the disk is closed, without the addon too', async (t) => {
    const disk = await openFileWith(await makeFile(t, 4 * 2 ** 20), {}, {});
    const refused = { name: 'NbdError', code: 'ESHUTDOWN' };
    const cut = [0, 1].map(() => assert.rejects(disk.cache(0, 4 * 2 ** 20), refused));
    await disk.close();
    await Promise.all(cut);
  });

  test('does not change what is read', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(600_000, 1));
    const disk = await openFileWith(path, {}, {});
    await Promise.all([disk.cache(0, 600_000), disk.cache(599_999, 1), disk.read(0, 10)]);
    assertSame(joined(await disk.read(0, 600_000)), pattern(600_000, 1));
    await disk.close();
  });
});

/** A file, and an addon whose reads of cached data are answered by `answer`. */
async function watched(
  t: TestContext,
  content: Buffer,
  answer: (read: () => number) => number,
): Promise<{ path: string; native: FileNative; calls: () => number }> {
  const path = await makeFile(t, 0);
  await writeFile(path, content);
  let calls = 0;
  const native: FileNative = {
    preadNoWait(fd, bytes, at, length, position) {
      calls++;
      return answer(() => readSync(fd, bytes, at, length, position));
    },
  };
  return { path, native, calls: () => calls };
}
