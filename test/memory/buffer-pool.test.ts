import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { BufferPool } from '../../lib/memory/buffer-pool.js';

const size = 2 ** 21;

describe('a pool of buffers', () => {
  test('returns a buffer that was released', () => {
    const pool = new BufferPool();
    const first = pool.take(size);
    const second = pool.take(size);
    assert.notEqual(first.buffer, second.buffer);
    pool.release(first);
    assert.equal(pool.take(size - 5000).buffer, first.buffer);
  });

  test(
    'begins buffers at pages, also those that are too long for it',
    { skip: addon === undefined && 'the addon is missing' },
    () => {
      const pool = new BufferPool();
      for (const length of [1, 5000, size, 2 ** 26 + 1]) {
        assert.equal(addon?.offsetIn(pool.take(length), 4096), 0, String(length));
      }
    },
  );

  test('rounds lengths up to a power of two', () => {
    const pool = new BufferPool();
    const first = pool.take(size + 1);
    assert.equal(first.length, size + 1);
    pool.release(first);
    assert.equal(pool.take(2 * size).buffer, first.buffer);
  });

  test('takes a buffer back once, and none that is not its own', () => {
    const pool = new BufferPool();
    const buffer = pool.take(size);
    pool.release(buffer);
    pool.release(buffer);
    pool.release(new Uint8Array(size));
    assert.equal(pool.take(size).buffer, buffer.buffer);
    assert.notEqual(pool.take(size).buffer, buffer.buffer);
  });

  test('lends parts of an arena, each to one user at a time', () => {
    const discarded: Uint8Array[] = [];
    const pool = new BufferPool({
      idleBytesMax: 0,
      discardPages: (bytes) => discarded.push(bytes),
    });
    const count = 2 ** 20 / 4096;
    const buffers = Array.from({ length: count }, () => pool.take(4000));
    const [first] = buffers;
    assert.ok(first);
    assert.equal(new Set(buffers.map(({ byteOffset }) => byteOffset)).size, count);
    assert.ok(buffers.every(({ buffer, length }) => buffer === first.buffer && length === 4000));
    assert.notEqual(pool.take(4000).buffer, first.buffer);
    pool.release(first);
    pool.release(first);
    assert.equal(pool.take(512).byteOffset, first.byteOffset);
    assert.notEqual(pool.take(512).buffer, first.buffer);
    assert.equal(discarded.length, 0);
    for (const buffer of buffers) pool.release(buffer);
    assert.equal(discarded.length, 1);
  });

  test('gives back the pages of a buffer that is idle, once, and keeps the buffer', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const discarded: Uint8Array[] = [];
    const pool = new BufferPool({ discardPages: (bytes) => discarded.push(bytes) });
    const buffer = pool.take(size);
    pool.release(buffer);
    t.mock.timers.tick(500);
    assert.equal(discarded.length, 0);
    t.mock.timers.tick(5000);
    assert.deepEqual(
      discarded.map(({ length }) => length),
      [size],
    );
    assert.equal(pool.take(size).buffer, buffer.buffer);
    pool.release(buffer);
    t.mock.timers.tick(5000);
    assert.equal(discarded.length, 2);
  });

  test('keeps no idle buffers where it cannot give back their pages', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const pool = new BufferPool();
    const buffer = pool.take(size);
    pool.release(buffer);
    t.mock.timers.tick(5000);
    assert.notEqual(pool.take(size).buffer, buffer.buffer);
  });

  test('keeps a bounded number of idle bytes', () => {
    const discarded: Uint8Array[] = [];
    const pool = new BufferPool({
      idleBytesMax: size,
      discardPages: (bytes) => discarded.push(bytes),
    });
    const [first, second] = [pool.take(size), pool.take(size)];
    pool.release(first);
    pool.release(second);
    assert.equal(discarded.length, 1);
    assert.equal(pool.take(size).buffer, first.buffer);
    assert.notEqual(pool.take(size).buffer, second.buffer);
  });
});
