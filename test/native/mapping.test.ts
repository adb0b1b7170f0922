import assert from 'node:assert/strict';
import { ftruncateSync, readFileSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import type { FileMapping } from '../../lib/native/addon.js';
import { failure, native, temporaryFile, withoutAddon } from './support/native.js';

const pageBytes = 4096;
const content = Buffer.alloc(8 * pageBytes, 7);

function mapped(t: TestContext): { fd: number; path: string; mapping: FileMapping } {
  const { fd, path } = temporaryFile(t);
  writeSync(fd, content);
  const mapping = native().createMapping(fd, content.length);
  assert.ok(typeof mapping !== 'number');
  return { fd, path, mapping };
}

describe('a mapping of a file', { skip: withoutAddon }, () => {
  it('is copied from', (t) => {
    const { mapping } = mapped(t);
    const bytes = new Uint8Array(2 * pageBytes);
    assert.equal(native().copyFromMapping(mapping, 100, bytes), bytes.length);
    assert.ok(content.subarray(100, 100 + bytes.length).equals(bytes));
  });

  it('is an error, and no signal, where the file has become shorter', (t) => {
    const { fd, mapping } = mapped(t);
    ftruncateSync(fd, pageBytes);
    const bytes = new Uint8Array(2 * pageBytes);
    assert.equal(native().copyFromMapping(mapping, 0, bytes), pageBytes);
    assert.equal(native().copyFromMapping(mapping, pageBytes, bytes), failure('EFAULT'));
    const unused = 1_000_000;
    assert.equal(native().createMapping(unused, pageBytes), failure('EBADF'));
  });

  it('is refreshed, and closed, at the same addresses', (t) => {
    const { fd, mapping } = mapped(t);
    const bytes = new Uint8Array(pageBytes);
    assert.equal(native().refreshMapping(mapping, fd), 0);
    assert.equal(native().copyFromMapping(mapping, 0, bytes), pageBytes);
    for (let time = 0; time < 2; time++) {
      assert.equal(native().closeMapping(mapping), 0);
      assert.equal(native().copyFromMapping(mapping, 0, bytes), failure('EFAULT'));
      assert.equal(native().residentPages(mapping, 0, pageBytes), 0);
    }
  });

  it('tells which pages are cached', (t) => {
    const { fd, path, mapping } = mapped(t);
    readFileSync(path);
    assert.equal(native().residentPages(mapping, 0, content.length), 8);
    assert.equal(native().residentPages(mapping, pageBytes, 3 * pageBytes), 3);
    const cached = native().cachedPages(fd, 0, content.length);
    assert.ok(cached === 8 || cached === failure('ENOSYS'), String(cached));
  });

  it('tells that nothing is cached where the file ends inside the range', (t) => {
    const { fd } = mapped(t);
    ftruncateSync(fd, content.length - 100);
    const cached = native().cachedPages(fd, 0, content.length);
    assert.ok(cached === 0 || cached === failure('ENOSYS'), String(cached));
    const shorter = native().cachedPages(fd, 0, content.length - 100);
    assert.ok(shorter === 8 || shorter === failure('ENOSYS'), String(shorter));
  });

  it('throws for what is no mapping, and for ranges outside it', (t) => {
    const { mapping } = mapped(t);
    const { closeMapping, copyFromMapping, createWorkers, closeWorkers, residentPages } = native();
    const workers = createWorkers(1, new Float64Array(3), () => undefined);
    t.after(() => closeWorkers(workers));
    // @ts-expect-error -- an object of another kind
    assert.throws(() => closeMapping(workers), TypeError);
    // @ts-expect-error -- not even an object of the addon
    assert.throws(() => closeMapping({}), TypeError);
    const bytes = new Uint8Array(2);
    assert.throws(() => copyFromMapping(mapping, content.length - 1, bytes), RangeError);
    assert.throws(() => copyFromMapping(mapping, content.length + 1, bytes), RangeError);
    assert.throws(() => residentPages(mapping, 1, pageBytes), RangeError);
    assert.throws(() => residentPages(mapping, 0, content.length + 1), RangeError);
  });
});
