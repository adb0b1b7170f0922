import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZeroBackend } from '../../../lib/backend/memory/zero-backend.js';
import { readOnlyContract } from '../support/contract.js';

const mebibyte = 2 ** 20;

for (const size of [1000, 3 * mebibyte]) {
  readOnlyContract(`a read-only memory disk of ${size} bytes`, () =>
    Promise.resolve({ disk: new ZeroBackend(size), content: Buffer.alloc(size) }),
  );
}

test('the largest read-only memory disk is one hole', () => {
  const disk = new ZeroBackend(Number.MAX_SAFE_INTEGER);
  assert.deepEqual(disk.extents(5), [{ length: disk.size - 5, hole: true, zero: true }]);
});

test('a read-only memory disk of an invalid size is refused', () => {
  assert.throws(() => new ZeroBackend(-1), { name: 'NbdError', code: 'NBDCORK_BAD_SIZE' });
});
