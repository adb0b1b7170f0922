import assert from 'node:assert/strict';
import fs from 'node:fs';
import { mkdtemp, open, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/io/file-io.js';
import { fallocateMode } from '../../../lib/native/addon.js';
import { addon } from '../../../lib/native/load.js';
import { fallocate } from '../../native/support/file-work.js';
import { assertSame, joined, pattern, requireWritable } from '../support/bytes.js';
import {
  blockDeviceSkip,
  makeBlockDevice,
  makeFile,
  makeFileAt,
  makeFileSystem,
  mountSkip,
} from '../support/disks.js';
import { holdSyncs, replace, type Callback, type Transfer } from '../support/replace-fs.js';

const mebibyte = 2 ** 20;
const later = { fua: false };
const holes = { fua: false, noHole: false, fast: false };
const { EOPNOTSUPP } = constants.errno;
const noHoles = await holesSkip();

describe('writing a file', () => {
  test('an image of 1000 bytes keeps its size', async (t) => {
    const path = await makeFile(t, 1000);
    const content = pattern(1000, 1);
    await writeFile(path, content);
    const disk = requireWritable(await openFile(path));
    assert.equal(disk.size, 1000);
    assertSame(joined(await disk.read(999, 1)), content.subarray(999));
    await disk.write(900, pattern(100, 2), { fua: true });
    await disk.writeZeroes(0, 700, { fua: true, noHole: false, fast: false });
    await disk.writeZeroes(950, 50, { fua: true, noHole: true, fast: false });
    await disk.trim(700, 300, { fua: true });
    await disk.cache?.(0, 1000);
    await disk.close?.();
    const left = await readFile(path);
    assert.equal(left.length, 1000);
    assertSame(left.subarray(0, 700), Buffer.alloc(700));
  });

  test('offsets beyond 4 GiB are exact', async (t) => {
    const size = 3 * 2 ** 32 + 1000;
    const path = await makeFile(t, size);
    const disk = requireWritable(await openFile(path));
    assert.equal(disk.size, size);
    const places = [2 ** 31 - 50, 2 ** 32 - 50, 2 ** 32 + 2 ** 31, size - 100];
    for (const [seed, offset] of places.entries()) {
      await disk.write(offset, pattern(100, seed), later);
    }
    await disk.writeZeroes(2 ** 32 - 10, 20, holes);
    const file = await open(path);
    t.after(() => file.close());
    for (const [seed, offset] of places.entries()) {
      const expected = pattern(100, seed);
      if (offset === 2 ** 32 - 50) expected.fill(0, 40, 60);
      const { buffer } = await file.read(Buffer.alloc(100), 0, 100, offset);
      assertSame(buffer, expected);
      assertSame(joined(await disk.read(offset, 100)), expected);
    }
    assertSame(joined(await disk.read(2 ** 33, mebibyte)), Buffer.alloc(mebibyte));
    await disk.close?.();
  });

  test('a write with FUA is answered after a sync that follows it', async (t) => {
    const path = await makeFile(t, 1000);
    const disk = requireWritable(await openFileWith(path, {}, {}));
    const started = new Promise<Callback>((resolve) => {
      replace(t, 'fdatasync', (_fd: number, callback: Callback) => {
        assertSame(fs.readFileSync(path).subarray(10, 20), pattern(10, 1));
        resolve(callback);
      });
    });
    let answered = false;
    const answer = Promise.resolve(disk.write(10, pattern(10, 1), { fua: true })).then(() => {
      answered = true;
    });
    const end = await started;
    assert.equal(answered, false);
    end(null);
    await answer;
    await disk.close?.();
  });

  test('requests without FUA do not sync', async (t) => {
    const disk = requireWritable(await openFileWith(await makeFile(t, 10_000), {}, {}));
    const held = holdSyncs(t);
    await disk.write(0, pattern(10, 1), { fua: false });
    await disk.writeZeroes(0, 10, { fua: false, noHole: false, fast: false });
    await disk.trim(0, 8192, { fua: false });
    assert.equal(held.length, 0);
    await disk.close?.();
  });
});

describe('a file that something else changes', () => {
  test('fails reads past its end once it is truncated', async (t) => {
    const path = await makeFile(t, 0);
    const content = pattern(65_536, 1);
    await writeFile(path, content);
    const disk = requireWritable(await openFile(path));
    await truncate(path, 10_000);
    const missing = { name: 'NbdError', code: 'EIO', message: /shorter than the disk/ };
    await assert.rejects(async () => disk.read(20_000, 4096), missing);
    await assert.rejects(async () => disk.read(8192, 4096), missing);
    await assert.rejects(async () => disk.cache?.(0, 65_536), missing);
    assertSame(joined(await disk.read(0, 10_000)), content.subarray(0, 10_000));
    await disk.write(20_000, pattern(100, 2), later);
    assertSame(joined(await disk.read(20_000, 100)), pattern(100, 2));
    await truncate(path, 65_536);
    assertSame(joined(await disk.read(30_000, 4096)), Buffer.alloc(4096));
    await disk.close?.();
  });

  test('is extended by zeroing once it is truncated', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(65_536, 1));
    const disk = requireWritable(await openFile(path));
    for (const noHole of [false, true]) {
      await truncate(path, 10_000);
      await disk.writeZeroes(8192, 40_000, { fua: false, noHole, fast: false });
      assertSame(joined(await disk.read(8192, 40_000)), Buffer.alloc(40_000));
      assert.equal((await stat(path)).size, 48_192);
    }
    await disk.close?.();
  });

  test('remains a disk once it is unlinked', async (t) => {
    const path = await makeFile(t, 8192);
    const disk = requireWritable(await openFile(path));
    await unlink(path);
    await disk.write(4000, pattern(200, 1), { fua: true });
    assertSame(joined(await disk.read(4000, 200)), pattern(200, 1));
    await disk.flush();
    await disk.close?.();
  });
});

describe('a sparse file', () => {
  test('stays and becomes sparse by zeroing', { skip: noHoles }, async (t) => {
    const path = await makeFile(t, 64 * mebibyte);
    const disk = requireWritable(await openFile(path));
    await disk.writeZeroes(0, 64 * mebibyte, holes);
    await disk.flush();
    const none = await allocatedBytes(path);
    assert.ok(none < mebibyte, `${none} bytes are allocated`);
    await disk.write(0, pattern(8 * mebibyte, 1), { fua: true });
    assert.ok((await allocatedBytes(path)) >= 8 * mebibyte);
    await disk.writeZeroes(0, 4 * mebibyte, { fua: true, noHole: false, fast: true });
    const half = await allocatedBytes(path);
    assert.ok(half >= 4 * mebibyte && half < 5 * mebibyte, `${half} bytes are allocated`);
    await disk.trim(4 * mebibyte + 1, 4 * mebibyte, { fua: true });
    const trimmed = await allocatedBytes(path);
    assert.ok(trimmed < mebibyte, `${trimmed} bytes are allocated`);
    await disk.close?.();
  });

  test('is allocated by zeroing without holes', async (t) => {
    const path = await makeFile(t, 16 * mebibyte);
    const disk = requireWritable(await openFile(path));
    await disk.writeZeroes(1000, 8 * mebibyte, { fua: true, noHole: true, fast: false });
    const allocated = await allocatedBytes(path);
    assert.ok(allocated >= 8 * mebibyte, `${allocated} bytes are allocated`);
    assertSame(joined(await disk.read(0, 9 * mebibyte)), Buffer.alloc(9 * mebibyte));
    await disk.close?.();
  });

  test('is zeroed by writing, and fast zeroing fails, where holes are unsupported', async (t) => {
    const modes: number[] = [];
    const native: FileNative = {
      fallocate: (_fd, mode) => {
        modes.push(mode);
        return Promise.resolve(-EOPNOTSUPP);
      },
    };
    const path = await makeFile(t, 0);
    const content = pattern(3 * mebibyte, 1);
    await writeFile(path, content);
    const disk = requireWritable(await openFileWith(path, {}, native));
    const refused = { name: 'NbdError', code: 'ENOTSUP' };
    const fast = { fua: false, noHole: false, fast: true };
    await assert.rejects(async () => disk.writeZeroes(0, 3 * mebibyte, fast), refused);
    await assert.rejects(async () => disk.writeZeroes(0, 1, { ...fast, noHole: true }), refused);
    assertSame(await readFile(path), content);
    await disk.writeZeroes(7, 2 * mebibyte, holes);
    assertSame(await readFile(path), content.fill(0, 7, 7 + 2 * mebibyte));
    await disk.trim(2 * mebibyte, mebibyte, later);
    assertSame(await readFile(path), content);
    const { keepSize, punchHole, zeroRange } = fallocateMode;
    assert.deepEqual(modes, [punchHole | keepSize, zeroRange | keepSize]);
    await disk.close?.();
  });
});

describe('a full file system', { skip: mountSkip }, () => {
  test('fails the write with ENOSPC and no other request', async (t) => {
    const path = join(await makeFileSystem(t, mebibyte), 'disk.img');
    await makeFileAt(path, 8 * mebibyte);
    const disk = requireWritable(await openFile(path));
    const full = { name: 'NbdError', code: 'ENOSPC' };
    const first = pattern(512 * 1024, 1);
    await disk.write(0, first, { fua: true });
    await assert.rejects(async () => disk.write(mebibyte, pattern(2 * mebibyte, 2), later), full);
    await assert.rejects(async () => disk.write(4 * mebibyte, pattern(4096, 3), later), full);
    const filled = { fua: false, noHole: true, fast: false };
    await assert.rejects(async () => disk.writeZeroes(5 * mebibyte, mebibyte, filled), full);
    assertSame(joined(await disk.read(0, first.length)), first);
    await disk.write(0, pattern(4096, 4), { fua: true });
    await disk.flush();
    // Room again, whichever way: a file system may lack holes without the addon.
    await truncate(path, 512 * 1024);
    await truncate(path, 8 * mebibyte);
    await disk.write(7 * mebibyte, pattern(4096, 5), { fua: true });
    assertSame(joined(await disk.read(7 * mebibyte, 4096)), pattern(4096, 5));
    await disk.close?.();
  });

  test('fails every flush after writes were lost', { skip: blockDeviceSkip }, async (t) => {
    const folder = await makeFileSystem(t, mebibyte);
    const path = join(folder, 'device.img');
    await makeFileAt(path, 8 * mebibyte);
    const device = await makeBlockDevice(t, path);
    const disk = requireWritable(await openFile(device));
    assert.equal(disk.size, 8 * mebibyte);
    await disk.write(0, pattern(4096, 1), { fua: true });
    // The device takes them into the cache; what is behind it is too small.
    await disk.write(0, pattern(8 * mebibyte, 2), later);
    const lost = { name: 'NbdError', message: /Writes may be lost/ };
    await assert.rejects(async () => disk.flush(), lost);
    await assert.rejects(async () => disk.flush(), lost);
    await assert.rejects(async () => disk.write(0, pattern(1, 1), { fua: true }), lost);
    await disk.close?.();
  });
});

describe('closing a file', () => {
  test('waits for a write and refuses later requests', async (t) => {
    const path = await makeFile(t, 1000);
    const disk = requireWritable(await openFileWith(path, {}, {}));
    const held: (() => void)[] = [];
    const real: Transfer = fs.write;
    replace(t, 'write', (...args: Parameters<Transfer>) => held.push(() => real(...args)));
    const written = disk.write(0, pattern(10, 1), { fua: false });
    let closed = false;
    const closing = Promise.resolve(disk.close?.()).then(() => {
      closed = true;
    });
    const refused = { name: 'NbdError', code: 'ESHUTDOWN' };
    assert.throws(() => disk.read(0, 1), refused);
    assert.throws(() => disk.write(0, pattern(1, 1), { fua: false }), refused);
    assert.throws(() => disk.flush(), refused);
    await new Promise(setImmediate);
    assert.equal(closed, false);
    for (const go of held) go();
    await written;
    await closing;
    assertSame(fs.readFileSync(path).subarray(0, 10), pattern(10, 1));
  });

  test('fails long zeroing early', async (t) => {
    const disk = requireWritable(await openFileWith(await makeFile(t, 4 * 2 ** 20), {}, {}));
    const zeroed = disk.writeZeroes(0, 4 * 2 ** 20, { fua: false, noHole: true, fast: false });
    const cut = assert.rejects(async () => zeroed, { name: 'NbdError', code: 'ESHUTDOWN' });
    await disk.close?.();
    await cut;
  });
});

async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** Why no hole can be made in a temporary file, if so. */
async function holesSkip(): Promise<string | false> {
  if (addon === undefined) return 'needs the addon';
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-holes-'));
  const file = await open(join(folder, 'file'), 'w+');
  await file.write(Buffer.alloc(8192, 1));
  const result = await fallocate(
    file.fd,
    fallocateMode.punchHole | fallocateMode.keepSize,
    0,
    4096,
  );
  await file.close();
  await rm(folder, { recursive: true });
  return result === 0 ? false : 'the file system of temporary files has no holes';
}
