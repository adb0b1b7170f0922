import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import type { FileNative } from '../../../lib/backend/file/readable-file.js';
import { fallocateMode } from '../../../lib/native/addon.js';
import { addon } from '../../../lib/native/load.js';
import { assertSame, joined, pattern, requireWritable } from '../support/bytes.js';
import {
  blockDeviceSkip,
  makeBlockDevice,
  makeFile,
  makeFileAt,
  makeFileSystem,
  makeFolder,
  mountSkip,
} from '../support/disks.js';

const mebibyte = 2 ** 20;
const later = { fua: false };
const holes = { fua: false, noHole: false, fast: false };
const { EAGAIN, EOPNOTSUPP } = constants.errno;

describe('what is in the file', () => {
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

  test('places beyond 4 GiB are where they should be', async (t) => {
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

  test('a read longer than what is read at once is whole', async (t) => {
    const path = await makeFile(t, 0);
    const content = pattern(5 * mebibyte + 3, 3);
    await writeFile(path, content);
    const disk = await openFile(path);
    assertSame(joined(await disk.read(1, content.length - 1)), content.subarray(1));
    await disk.close();
  });

  test('replies that were not sent yet do not change', async (t) => {
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

describe('a file that changes under the disk', () => {
  test('one that became shorter fails the requests for what is missing', async (t) => {
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

  test('one that became shorter is as long again where it was zeroed', async (t) => {
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

  test('one that was unlinked is still a disk', async (t) => {
    const path = await makeFile(t, 8192);
    const disk = requireWritable(await openFile(path));
    await unlink(path);
    await disk.write(4000, pattern(200, 1), { fua: true });
    assertSame(joined(await disk.read(4000, 200)), pattern(200, 1));
    await disk.flush();
    await disk.close?.();
  });
});

describe('reading what is cached', () => {
  test('is done at once, without a promise', async (t) => {
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

  test('and what is not is read on the pool', async (t) => {
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

  test('is not tried again where the system cannot', async (t) => {
    const content = pattern(1000, 3);
    const { path, native, calls } = await watched(t, content, () => -EOPNOTSUPP);
    const disk = await openFileWith(path, {}, native);
    for (let i = 0; i < 3; i++) assertSame(joined(await disk.read(0, 1000)), content);
    assert.equal(disk.readSlice(0, 10, { memory: new Uint8Array(0), start: 0 }), false);
    assert.equal(calls(), 1);
    await disk.close();
  });

  test('is not done for as much as would hold up other clients', async (t) => {
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

const noHoles = await holesSkip();

describe('a sparse file', () => {
  test('stays sparse when it is zeroed, and becomes so', { skip: noHoles }, async (t) => {
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

  test('is filled by zeros that must not be a hole', async (t) => {
    const path = await makeFile(t, 16 * mebibyte);
    const disk = requireWritable(await openFile(path));
    await disk.writeZeroes(1000, 8 * mebibyte, { fua: true, noHole: true, fast: false });
    const allocated = await allocatedBytes(path);
    assert.ok(allocated >= 8 * mebibyte, `${allocated} bytes are allocated`);
    assertSame(joined(await disk.read(0, 9 * mebibyte)), Buffer.alloc(9 * mebibyte));
    await disk.close?.();
  });

  test('of a system without holes is zeroed by writing, and not quickly', async (t) => {
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
  test('fails the write with ENOSPC and nothing else', async (t) => {
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

describe('read-only', () => {
  test('a disk has no member that writes', async (t) => {
    const path = await makeFile(t, 0);
    await writeFile(path, pattern(5000, 1));
    const disk = await openFile(path, { readOnly: true });
    for (const member of ['write', 'writeTarget', 'trim', 'writeZeroes', 'flush', 'fua']) {
      assert.equal(member in disk, false, member);
    }
    assertSame(joined(await disk.read(1000, 4000)), pattern(5000, 1).subarray(1000));
    await disk.cache(0, 5000);
    await disk.close();
  });

  test('is what may not be written', { skip: mountSkip }, async (t) => {
    const folder = await makeFileSystem(t, mebibyte);
    const path = join(folder, 'disk.img');
    await makeFileAt(path, 4096);
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    await assert.rejects(openFile(path), {
      name: 'NbdError',
      code: 'NBDCORK_NO_PERMISSION',
      message: /read-only/,
    });
    const disk = await openFile(path, { readOnly: true });
    assertSame(joined(await disk.read(0, 4096)), Buffer.alloc(4096));
    await disk.close();
  });
});

describe('what is no disk is refused', () => {
  test('a file that does not exist', async (t) => {
    const folder = await makeFolder(t);
    const refusal = { name: 'NbdError', code: 'NBDCORK_NOT_FOUND', message: /disk\.img/ };
    await assert.rejects(openFile(join(folder, 'disk.img')), refusal);
    await makeFileAt(join(folder, 'file'), 0);
    await assert.rejects(openFile(join(folder, 'file', 'disk.img')), refusal);
  });

  const notADisk = (message: RegExp) => ({ name: 'NbdError', code: 'NBDCORK_NOT_A_DISK', message });

  test('a folder', async (t) => {
    const folder = await makeFolder(t);
    await assert.rejects(openFile(folder), notADisk(/a directory/));
    await assert.rejects(openFile(folder, { readOnly: true }), notADisk(/a directory/));
  });

  test('a pipe, without waiting for its writer', async (t) => {
    const path = join(await makeFolder(t), 'pipe');
    execFileSync('mkfifo', [path]);
    await assert.rejects(openFile(path, { readOnly: true }), notADisk(/a pipe/));
  });

  test('a socket', async (t) => {
    const path = join(await makeFolder(t), 'socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    t.after(() => server.close());
    await assert.rejects(openFile(path), notADisk(/a socket/));
  });

  test('a character device', async () => {
    await assert.rejects(openFile('/dev/null'), notADisk(/a character device/));
  });

  test('a loop of links', async (t) => {
    const path = join(await makeFolder(t), 'link');
    execFileSync('ln', ['-s', path, path]);
    await assert.rejects(openFile(path), { name: 'NbdError', code: 'NBDCORK_OPEN_FAILED' });
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

async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** Why no hole can be made in a temporary file, if so. */
async function holesSkip(): Promise<string | false> {
  if (addon === undefined) return 'needs the addon';
  const { fallocate } = addon;
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
