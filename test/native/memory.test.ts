import assert from 'node:assert/strict';
import { closeSync, fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { native, withoutAddon } from './support/native.js';

describe('offsetIn', { skip: withoutAddon }, () => {
  it('follows the view, and repeats with every page', () => {
    for (const buffer of [new ArrayBuffer(8_192), new SharedArrayBuffer(8_192)]) {
      const { offsetIn } = native();
      const start = offsetIn(new Uint8Array(buffer), 4_096);
      assert.ok(start >= 0 && start < 4_096, `${start}`);
      for (const at of [1, 64, 4_095, 4_096, 4_097, 8_192]) {
        const expected = (start + at) % 4_096;
        assert.equal(offsetIn(new Uint8Array(buffer, at), 4_096), expected, `at ${at}`);
      }
    }
  });

  it('throws for other types than Uint8Array', () => {
    const wrong = [new ArrayBuffer(1)];
    assert.throws(() => Reflect.apply(native().offsetIn, undefined, wrong), TypeError);
  });

  it('throws for a unit of 0 bytes', () => {
    assert.throws(() => native().offsetIn(new Uint8Array(1), 0), RangeError);
  });
});

describe('adviseHugePages', { skip: withoutAddon }, () => {
  const pageBytes = 4_096;

  it('accepts memory that begins at a page, and keeps its content', () => {
    const { adviseHugePages, offsetIn } = native();
    const memory = new Uint8Array(2 ** 22);
    const start = (pageBytes - offsetIn(memory, pageBytes)) % pageBytes;
    memory[start] = 7;
    const result = adviseHugePages(memory.subarray(start, start + 2 ** 21));
    // A kernel without huge pages returns EINVAL.
    assert.ok(result === 0 || result === -constants.errno.EINVAL, `${result}`);
    assert.equal(memory[start], 7);
  });

  it('returns -errno for other memory', () => {
    const { adviseHugePages, offsetIn } = native();
    const memory = new Uint8Array(2 ** 20);
    const start = offsetIn(memory, pageBytes) === 0 ? 1 : 0;
    assert.equal(adviseHugePages(memory.subarray(start)), -constants.errno.EINVAL);
  });
});

describe('discardPages', { skip: withoutAddon }, () => {
  it('gives back whole pages only', () => {
    const { discardPages, offsetIn } = native();
    const pageBytes = 4_096;
    const memory = new Uint8Array(2 ** 20).fill(7);
    const start = (pageBytes - offsetIn(memory, pageBytes)) % pageBytes;
    const range = memory.subarray(start + 1, start + 4 * pageBytes + 1);
    assert.equal(discardPages(range), 0);
    const expected = new Uint8Array(range.length).fill(7);
    expected.fill(0, pageBytes - 1, 4 * pageBytes - 1);
    assert.deepEqual(range, expected);
  });

  it('does nothing without a whole page', () => {
    const memory = new Uint8Array(4_095).fill(7);
    assert.equal(native().discardPages(memory), 0);
    assert.ok(memory.every((byte) => byte === 7));
  });
});

describe('createMemoryFile', { skip: withoutAddon }, () => {
  it('returns a file of zeros that takes no memory', () => {
    const { createMemoryFile } = native();
    const length = 2 ** 40 + 1;
    const fd = createMemoryFile(length);
    assert.ok(fd >= 0, `${fd}`);
    const stats = fstatSync(fd);
    closeSync(fd);
    assert.ok(stats.isFile());
    assert.deepEqual([stats.size, stats.blocks], [length, 0]);
  });

  it('throws for other values than lengths', () => {
    for (const wrong of [-1, 1.5, 2 ** 53, '1']) {
      const call = (): unknown => Reflect.apply(native().createMemoryFile, undefined, [wrong]);
      assert.throws(call, { code: /^ERR_/ });
    }
  });
});
