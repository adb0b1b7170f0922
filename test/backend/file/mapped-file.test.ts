import assert from 'node:assert/strict';
import { readFileSync, writeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import { MappedFile, type MappingNative } from '../../../lib/backend/file/mapped-file.js';
import type { Slice } from '../../../lib/backend/backend.js';
import { openFile } from '../../../lib/index.js';
import type { FileMapping } from '../../../lib/native/addon.js';
import { failure, native, temporaryFile, withoutAddon } from '../../native/support/native.js';
import { pattern } from '../../support/disks.js';
import { makeFile } from '../support/disks.js';

const windowBytes = 2 ** 21;
/** Reads without reading. */
const io = { read: (bytes: Uint8Array) => Promise.resolve(bytes) };

/** The addon, with other results of cachestat(2) and mincore(2). Counts calls. */
function withCache(t: TestContext, cached: { pages: number; resident: number }) {
  const calls = { cachedPages: 0, residentPages: 0, refreshMapping: 0 };
  const addon: MappingNative = {
    ...native(),
    cachedPages: () => (calls.cachedPages++, cached.pages),
    residentPages: () => (calls.residentPages++, cached.resident),
    refreshMapping: (mapping: FileMapping, fd: number) => {
      calls.refreshMapping++;
      return native().refreshMapping(mapping, fd);
    },
  };
  t.mock.timers.enable({ apis: ['Date'] });
  return { addon, calls };
}

describe('a mapped file', { skip: withoutAddon }, () => {
  test('is cached where all of its windows are', (t) => {
    const { fd, path } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(3 * windowBytes - 100, 1));
    readFileSync(path);
    const file = MappedFile.open(native(), fd, 3 * windowBytes - 100, io);
    if (file === undefined) {
      assert.equal(native().cachedPages(fd, 0, 1), failure('ENOSYS'));
      return;
    }
    assert.ok(file.isCached(0, 1));
    assert.ok(file.isCached(windowBytes - 1, windowBytes + 2));
    assert.ok(file.isCached(0, 3 * windowBytes - 100));
    assert.ok(!file.isCached(0, 3 * windowBytes));
    file.close();
  });

  test('asks again after a time, and examines pages once', (t) => {
    const { fd } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(windowBytes, 1));
    const cached = { pages: 512, resident: 511 };
    const { addon, calls } = withCache(t, cached);
    const file = MappedFile.open(addon, fd, windowBytes, io);
    assert.ok(file);
    calls.cachedPages = 0;
    // Cached, but one page is still being read.
    assert.ok(!file.isCached(0, 4096));
    cached.resident = 512;
    assert.ok(!file.isCached(0, 4096));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [1, 1]);
    t.mock.timers.tick(20);
    assert.ok(file.isCached(0, 4096));
    assert.ok(file.isCached(4096, 4096));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [2, 2]);
    t.mock.timers.tick(20);
    assert.ok(file.isCached(4096, 4096));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [3, 2]);
    // Meanwhile, its pages may have left the cache.
    t.mock.timers.tick(200);
    assert.ok(file.isCached(4096, 4096));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [4, 3]);
    cached.pages = 500;
    t.mock.timers.tick(20);
    assert.ok(!file.isCached(4096, 4096));
  });

  test('finds out whether a range is resident each time', (t) => {
    const { fd } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(windowBytes, 1));
    const cached = { pages: 2, resident: 2 };
    const { addon, calls } = withCache(t, cached);
    const file = MappedFile.open(addon, fd, windowBytes, io);
    assert.ok(file);
    calls.cachedPages = 0;
    // Bytes of two pages.
    assert.ok(file.isResident(4095, 2));
    cached.resident = 1;
    assert.ok(!file.isResident(4095, 2));
    cached.pages = 1;
    assert.ok(!file.isResident(4095, 2));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [3, 2]);
  });

  test('reads what is not resident until it is closed', async (t) => {
    const path = await makeFile(t, 2 ** 20);
    const content = pattern(2 ** 20, 1);
    await writeFile(path, content);
    const disk = await openFile(path);
    const slice: Slice = { memory: new Uint8Array(0), start: 0, acceptsMapping: true };
    assert.ok(disk.readSlice(4096, 10_000, slice));
    const { mapped } = slice;
    assert.ok(mapped);
    const bytes = await mapped.read(4097, 9999);
    assert.ok(content.subarray(4097, 4097 + 9999).equals(bytes));
    mapped.releaseRead(bytes);
    const reading = mapped.read(0, 2 ** 20);
    await disk.close();
    assert.ok(content.equals(await reading));
    await assert.rejects(mapped.read(0, 1), { code: 'ESHUTDOWN' });
  });

  test('gives page tables back after many windows', (t) => {
    const { fd } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(1));
    const { addon, calls } = withCache(t, { pages: 512, resident: 512 });
    const file = MappedFile.open(addon, fd, 5000 * windowBytes, io);
    assert.ok(file);
    for (let window = 0; window < 4095; window++) assert.ok(file.isCached(window * windowBytes, 1));
    assert.equal(calls.refreshMapping, 0);
    assert.ok(file.isCached(4095 * windowBytes, 1));
    assert.equal(calls.refreshMapping, 1);
  });

  test('is undefined where the system lacks what it needs', (t) => {
    const { fd } = temporaryFile(t);
    const addon = native();
    assert.equal(MappedFile.open(addon, fd, 0, io), undefined);
    const old = { ...addon, cachedPages: () => failure('ENOSYS') };
    assert.equal(MappedFile.open(old, fd, 4096, io), undefined);
    const full = { ...addon, cachedPages: () => 0, createMapping: () => failure('ENOMEM') };
    assert.equal(MappedFile.open(full, fd, 4096, io), undefined);
  });
});
