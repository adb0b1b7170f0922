import assert from 'node:assert/strict';
import { readFileSync, writeSync } from 'node:fs';
import { describe, test, type TestContext } from 'node:test';
import { MappedFile, type MappingNative } from '../../../lib/backend/file/mapped-file.js';
import type { FileMapping } from '../../../lib/native/addon.js';
import { failure, native, temporaryFile, withoutAddon } from '../../native/support/native.js';

const windowBytes = 2 ** 21;

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
    const file = MappedFile.open(native(), fd, 3 * windowBytes - 100);
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
    const file = MappedFile.open(addon, fd, windowBytes);
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
    t.mock.timers.tick(1000);
    assert.ok(file.isCached(4096, 4096));
    assert.deepEqual([calls.cachedPages, calls.residentPages], [4, 3]);
    cached.pages = 500;
    t.mock.timers.tick(20);
    assert.ok(!file.isCached(4096, 4096));
  });

  test('gives page tables back after many windows', (t) => {
    const { fd } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(1));
    const { addon, calls } = withCache(t, { pages: 512, resident: 512 });
    const file = MappedFile.open(addon, fd, 5000 * windowBytes);
    assert.ok(file);
    for (let window = 0; window < 4095; window++) assert.ok(file.isCached(window * windowBytes, 1));
    assert.equal(calls.refreshMapping, 0);
    assert.ok(file.isCached(4095 * windowBytes, 1));
    assert.equal(calls.refreshMapping, 1);
  });

  test('is undefined where the system lacks what it needs', (t) => {
    const { fd } = temporaryFile(t);
    const addon = native();
    assert.equal(MappedFile.open(addon, fd, 0), undefined);
    const old = { ...addon, cachedPages: () => failure('ENOSYS') };
    assert.equal(MappedFile.open(old, fd, 4096), undefined);
    const full = { ...addon, cachedPages: () => 0, createMapping: () => failure('ENOMEM') };
    assert.equal(MappedFile.open(full, fd, 4096), undefined);
  });
});
