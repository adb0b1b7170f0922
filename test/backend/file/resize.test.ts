import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import { WritableFile } from '../../../lib/backend/file/writable-file.js';
import { addon } from '../../../lib/native/load.js';
import { needs } from '../../support/peers.js';
import { RunningProgram } from '../../support/program.js';
import { makeFile } from '../support/disks.js';

const mebibyte = 2 ** 20;

/** A file in memory with a seal: it can be written, but not cut. It lives as long as who made it. */
const sealed = `
import fcntl, os, signal, sys
fd = os.memfd_create('disk', os.MFD_ALLOW_SEALING)
os.ftruncate(fd, int(sys.argv[1]))
fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
print(f'/proc/{os.getpid()}/fd/{fd}', flush=True)
signal.pause()
`;

async function fileThatCannotShrink(t: TestContext): Promise<string> {
  const command = ['python3', '-c', sealed] as const;
  const maker = new RunningProgram(t, [String(32 * mebibyte)], { command });
  const [path = ''] = await maker.uris();
  return path;
}

describe('resizing a file', () => {
  test('runs one at a time, in order, and never exposes bytes past the end', async (t) => {
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

  test('that fails does not block the next', async (t) => {
    const disk = await openFile(await makeFile(t, mebibyte));
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const failing = assert.rejects(disk.resize(1.5), { name: 'NbdError' });
    await disk.resize(2 * mebibyte);
    await failing;
    assert.equal(disk.size, 2 * mebibyte);
    await disk.close();
  });

  for (const native of [{}, ...(addon === undefined ? [] : [addon])]) {
    const how = native === addon ? 'with the addon' : 'without the addon';
    test(`is not undone by earlier requests, ${how}`, async (t) => {
      const path = await makeFile(t, 16 * mebibyte);
      const disk = await openFileWith(path, {}, native);
      assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
      const options = { fua: false, noHole: true, fast: false };
      const begun = [
        disk.write(12 * mebibyte, Buffer.alloc(mebibyte, 1), { fua: false }),
        disk.writeZeroes(0, 16 * mebibyte, options),
        disk.writeZeroes(8 * mebibyte, mebibyte, { ...options, noHole: false }),
      ];
      await disk.resize(4096);
      assert.equal((await stat(path)).size, 4096);
      await Promise.all(begun);
      assert.equal((await stat(path)).size, 4096);
      await disk.close();
    });
  }

  test('is not undone by measuring meanwhile', async (t) => {
    const path = await makeFile(t, 16 * mebibyte);
    const disk = await openFile(path);
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const begun = disk.write(8 * mebibyte, Buffer.alloc(8 * mebibyte, 1), { fua: false });
    const resized = disk.resize(4096);
    await disk.measure();
    assert.equal(disk.size, 4096);
    await Promise.all([begun, resized]);
    assert.equal((await stat(path)).size, 4096);
    await disk.close();
  });

  test('to an invalid size is refused and changes nothing', async (t) => {
    const path = await makeFile(t, mebibyte);
    const disk = await openFile(path);
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    for (const size of [1.5, -1, NaN, 2 ** 53]) {
      await assert.rejects(disk.resize(size), { code: 'NBDCORK_BAD_SIZE' }, String(size));
    }
    assert.equal(disk.size, mebibyte);
    assert.equal((await stat(path)).size, mebibyte);
    await disk.close();
  });

  test('that fails leaves no gap in zeroing meanwhile', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = await fileThatCannotShrink(t);
    await writeFile(path, Buffer.alloc(32 * mebibyte, 1), { flag: 'r+' });
    const disk = await openFileWith(path, {}, {});
    assert.ok(disk instanceof WritableFile && disk.resize !== undefined);
    const options = { fua: false, noHole: true, fast: false };
    // The size is the new one until this is done.
    const begun = disk.write(16 * mebibyte, Buffer.alloc(16 * mebibyte), { fua: false });
    const zeroed = disk.writeZeroes(0, 16 * mebibyte, options);
    await assert.rejects(disk.resize(mebibyte / 2), { code: 'EPERM' });
    await Promise.all([begun, zeroed]);
    assert.ok((await readFile(path)).equals(Buffer.alloc(32 * mebibyte)));
    await disk.close();
  });
});
