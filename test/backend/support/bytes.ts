/** Bytes that tests write, read and compare. */
import assert from 'node:assert/strict';
import type { Backend, Bytes } from '../../../lib/backend/backend.js';

export type WritableBackend = Backend &
  Required<Pick<Backend, 'write' | 'flush' | 'trim' | 'writeZeroes'>>;

export function requireWritable(disk: Backend): WritableBackend {
  assert.ok(isWritable(disk), 'the disk cannot be written');
  return disk;
}

function isWritable(disk: Backend): disk is WritableBackend {
  return (
    disk.write !== undefined &&
    disk.flush !== undefined &&
    disk.trim !== undefined &&
    disk.writeZeroes !== undefined
  );
}

/** Bytes that are all but never zero, and differ from seed to seed. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = 1 + ((i + (i >> 8) * 7 + seed * 31) % 255);
  return bytes;
}

export function joined(bytes: Bytes): Buffer {
  return bytes instanceof Uint8Array ? Buffer.from(bytes) : Buffer.concat(bytes);
}

export async function readAll(disk: Backend): Promise<Buffer> {
  return disk.size === 0 ? Buffer.alloc(0) : joined(await disk.read(0, disk.size));
}

/** Like deepEqual, in time and words that suit megabytes. */
export function assertSame(got: Uint8Array, expected: Uint8Array): void {
  assert.equal(got.length, expected.length);
  if (Buffer.compare(got, expected) === 0) return;
  const at = got.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`byte ${at} is ${got[at]}, not ${expected[at]}`);
}
