import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readUint64, writeUint64 } from '../../lib/wire/uint64.js';

describe('64-bit numbers', () => {
  test('are written and read exactly up to 2^53 - 1', () => {
    fc.assert(
      fc.property(fc.nat(9), fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), (at, value) => {
        const view = new DataView(new ArrayBuffer(at + 8));
        writeUint64(view, at, Number(value));
        assert.equal(view.getBigUint64(at), value);
        assert.equal(readUint64(view, at), Number(value));
      }),
    );
  });

  test('past that stay larger', () => {
    for (const value of [2n ** 53n, 2n ** 64n - 1n]) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, value);
      assert.ok(readUint64(view, 0) >= 2 ** 53);
    }
  });
});
