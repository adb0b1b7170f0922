/** The load's parser of replies, on bytes that are made by hand and come in every way. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Replies } from '../load/replies.js';
import type { HeaderKind } from '../results.js';
import { u16, u32, u64 } from '../../test/support/numbers.js';

const readBytes = 100;
/** Requests in these slots are reads, the others writes. */
const isRead = (slot: number): boolean => slot % 2 === 0;

function cookie(slot: number): Buffer {
  return u64(slot);
}

/** "Simple reply message". */
function simple(slot: number, error = 0): Buffer {
  const payload = Buffer.alloc(isRead(slot) && error === 0 ? readBytes : 0, 0x67);
  return Buffer.concat([u32(0x67446698), u32(error), cookie(slot), payload]);
}

/** "Structured reply chunk message" and "Extended reply chunk message". */
function chunk(headers: HeaderKind, slot: number, done: boolean, type: number, payload: Buffer) {
  const start = [u16(done ? 1 : 0), u16(type), cookie(slot)];
  return headers === 'extended'
    ? Buffer.concat([u32(0x6e8a278c), ...start, u64(0), u64(payload.length), payload])
    : Buffer.concat([u32(0x668e33ef), ...start, u32(payload.length), payload]);
}

/** Give the bytes in pieces of `step`. The slots that were answered. */
function answered(headers: HeaderKind, bytes: Buffer, step: number, statusBytes = 0): number[] {
  const slots: number[] = [];
  const replies = new Replies(headers, statusBytes, {
    payloadBytesOf: (slot) => (isRead(slot) ? readBytes : 0),
    answered: (slot) => slots.push(slot),
  });
  const buffer = new Uint8Array(step);
  const view = new DataView(buffer.buffer);
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step);
    buffer.set(piece);
    replies.receive(buffer, view, piece.length);
  }
  return slots;
}

const steps = [1, 2, 7, 15, 16, 17, 19, 20, 31, 32, 33, 100, 116, 117, 1000, 65_536];

describe('in pieces of every length', () => {
  test('simple replies', () => {
    const bytes = Buffer.concat([1, 2, 0, 3, 5, 4].map((slot) => simple(slot)));
    for (const step of steps) {
      assert.deepEqual(answered('simple', bytes, step), [1, 2, 0, 3, 5, 4], `${step}`);
    }
  });

  for (const headers of ['structured', 'extended'] as const) {
    test(`${headers} replies, in one chunk and in several`, () => {
      const bytes = Buffer.concat([
        chunk(headers, 0, true, 1, Buffer.alloc(8 + readBytes, 0x66)),
        chunk(headers, 1, true, 0, Buffer.alloc(0)),
        chunk(headers, 2, false, 1, Buffer.alloc(8 + 60)),
        chunk(headers, 2, false, 2, Buffer.alloc(12)),
        chunk(headers, 2, true, 0, Buffer.alloc(0)),
        chunk(headers, 3, true, 0, Buffer.alloc(0)),
      ]);
      for (const step of steps) {
        assert.deepEqual(answered(headers, bytes, step), [0, 1, 2, 3], `${step}`);
      }
    });
  }

  test('simple replies to writes among structured ones', () => {
    const bytes = Buffer.concat([
      simple(1),
      chunk('structured', 0, true, 1, Buffer.alloc(8 + readBytes)),
      simple(3),
    ]);
    for (const step of steps) {
      assert.deepEqual(answered('structured', bytes, step), [1, 0, 3], `${step}`);
    }
  });
});

describe('what is refused', () => {
  test('an error in a simple reply', () => {
    assert.throws(() => answered('simple', simple(0, 5), 100), /error 5/);
  });

  test('an error chunk', () => {
    const error = Buffer.concat([u32(5), u16(0)]);
    assert.throws(() => answered('structured', chunk('structured', 0, true, 0x8001, error), 100));
  });

  test('another magic, and simple replies among extended ones', () => {
    assert.throws(() => answered('simple', Buffer.alloc(16, 1), 100), /invalid magic/);
    assert.throws(() => answered('extended', Buffer.concat([simple(1), simple(1)]), 100));
  });

  test('other extents than there are', () => {
    const bytes = chunk('structured', 0, true, 5, Buffer.alloc(4 + 8 * 3));
    assert.deepEqual(answered('structured', bytes, 100, 28), [0]);
    assert.throws(() => answered('structured', bytes, 100, 36), /extents/);
  });
});
