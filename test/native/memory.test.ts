import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { native, withoutAddon } from './support/native.js';

describe('pageOffset', { skip: withoutAddon }, () => {
  it('moves with the view, and comes back after a page', () => {
    for (const buffer of [new ArrayBuffer(8_192), new SharedArrayBuffer(8_192)]) {
      const { pageOffset } = native();
      const start = pageOffset(new Uint8Array(buffer));
      assert.ok(start >= 0 && start < 4_096, `${start}`);
      for (const at of [1, 64, 4_095, 4_096, 4_097, 8_192]) {
        const expected = (start + at) % 4_096;
        assert.equal(pageOffset(new Uint8Array(buffer, at)), expected, `at ${at}`);
      }
    }
  });

  it('throws for what is no Uint8Array', () => {
    const wrong = [new ArrayBuffer(1)];
    assert.throws(() => Reflect.apply(native().pageOffset, undefined, wrong), TypeError);
  });
});
