/** Files and block devices opened for direct I/O. */
import assert from 'node:assert/strict';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import { directBytesOf } from '../../../lib/backend/file/block-size.js';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import { WritableFile } from '../../../lib/backend/file/writable-file.js';
import { assertSame, joined, pattern } from '../support/bytes.js';
import { blockDeviceSkip, makeBlockDevice, makeFile } from '../support/disks.js';
import { addonSkip, cachedBytes, canMeasureCache, directSkip } from './support/direct.js';

const mebibyte = 2 ** 20;
const refusal = (message: RegExp) => ({ name: 'NbdError', code: 'NBDCORK_NO_DIRECT_IO', message });

async function openDirect(t: TestContext, size: number) {
  const path = await makeFile(t, size);
  const disk = await openFile(path, { direct: true });
  assert.ok(disk instanceof WritableFile);
  return { path, disk };
}

describe('a file opened for direct I/O', { skip: directSkip }, () => {
  test('tells the blocks of which requests must consist', async (t) => {
    const { disk } = await openDirect(t, mebibyte);
    const { minimum = 0, preferred = 0 } = disk.blockSize ?? {};
    assert.ok([512, 1024, 2048, 4096].includes(minimum), String(minimum));
    assert.equal(preferred, 4096);
    await disk.close();
  });

  test('leaves nothing in the cache', async (t) => {
    if (!canMeasureCache(t)) return;
    const { path, disk } = await openDirect(t, 4 * mebibyte);
    const content = pattern(4 * mebibyte, 1);
    await disk.write(0, content, { fua: true });
    assertSame(joined(await disk.read(0, content.length)), content);
    await disk.cache(0, content.length);
    assert.equal(cachedBytes(path), 0);
    await disk.close();
  });

  test('is not sent from a mapping of the cache', async (t) => {
    const { path, disk } = await openDirect(t, mebibyte);
    await readFile(path);
    const slice = { memory: new Uint8Array(0), start: 0, acceptsMapping: true };
    assert.equal(disk.readSlice(0, 4096, slice), false);
    await disk.close();
  });

  test('writes from memory that begins anywhere', async (t) => {
    const { disk } = await openDirect(t, mebibyte);
    const content = pattern(8192 + 1, 2).subarray(1);
    await disk.write(4096, content, { fua: false });
    assertSame(joined(await disk.read(4096, 8192)), content);
    await disk.close();
  });

  test('that was truncated within a block fails reads past its end, and is extended by zeros', async (t) => {
    const { path, disk } = await openDirect(t, mebibyte);
    await truncate(path, 8192 + 100);
    await assert.rejects(async () => disk.read(4096, 65_536), {
      code: 'EIO',
      message: /no data at 8292/,
    });
    await disk.writeZeroes(8192, 65_536, { fua: false, noHole: false, fast: false });
    assert.ok((await stat(path)).size >= 8192 + 65_536);
    assertSame(joined(await disk.read(8192, 65_536)), Buffer.alloc(65_536));
    await disk.close();
  });

  test('grows by whole blocks', async (t) => {
    const { path, disk } = await openDirect(t, mebibyte);
    await truncate(path, 2 * mebibyte + 1);
    await disk.measure();
    assert.equal(disk.size, 2 * mebibyte);
    await disk.close();
  });

  test('has extents of whole blocks', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(5000, 3));
    await truncate(path, mebibyte);
    const disk = await openFile(path, { direct: true });
    await truncate(path, 5000);
    const minimum = disk.blockSize?.minimum ?? 0;
    for (const { length } of await disk.extents(0, mebibyte, { one: false })) {
      assert.equal(length % minimum, 0);
    }
    await disk.close();
  });
});

describe('a block device opened for direct I/O', { skip: directSkip ?? blockDeviceSkip }, () => {
  for (const [blockBytes, readOnly] of [
    [512, true],
    [4096, false],
  ] as const) {
    test(`has its logical blocks of ${blockBytes} bytes as the minimum`, async (t) => {
      const path = await makeBlockDevice(t, await makeFile(t, mebibyte), blockBytes);
      const disk = await openFile(path, { direct: true, readOnly });
      assert.equal(disk.blockSize?.minimum, blockBytes);
      assert.equal(disk.blockSize.preferred, 4096);
      assertSame(joined(await disk.read(blockBytes, blockBytes)), Buffer.alloc(blockBytes));
      await disk.close();
    });
  }
});

describe('direct I/O is refused', () => {
  test('for a size with a part of a block', { skip: directSkip }, async (t) => {
    const path = await makeFile(t, mebibyte + 1);
    await assert.rejects(openFile(path, { direct: true }), refusal(/truncate -s %\d+/));
  });

  test('where the file system lacks it', { skip: addonSkip }, async () => {
    const opening = openFile('/proc/version', { direct: true, readOnly: true });
    await assert.rejects(opening, refusal(/no direct I\/O.*--direct/));
  });

  test('where the file system says that it lacks it', () => {
    const blocks = { logical: undefined, physical: undefined, direct: 0 };
    assert.throws(() => directBytesOf(blocks, mebibyte, 'disk.img'), refusal(/no direct I\/O/));
  });

  test('without the addon', async (t) => {
    const opening = openFileWith(await makeFile(t, mebibyte), { direct: true }, {});
    await assert.rejects(opening, refusal(/needs the addon/));
  });
});

test('blocks are of 4096 bytes where the system does not tell', () => {
  const unknown = { logical: undefined, physical: undefined, direct: undefined };
  assert.equal(directBytesOf(unknown, mebibyte, 'disk.img'), 4096);
  assert.equal(directBytesOf({ ...unknown, logical: 512 }, mebibyte, 'disk.img'), 512);
});
