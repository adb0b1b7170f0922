/** Random requests, and what each of them does to the disk and to its model. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Slice } from '../../../lib/backend/backend.js';
import { codeOf } from '../../../lib/errors.js';
import { assertSame, joined, pattern, type WritableBackend } from './bytes.js';

export interface Operation {
  readonly kind: 'write' | 'read' | 'trim' | 'writeZeroes' | 'flush' | 'cache';
  readonly offset: number;
  readonly length: number;
  readonly seed: number;
  readonly fua: boolean;
  readonly noHole: boolean;
  readonly fast: boolean;
  /** Through writeTarget and readSlice, where the backend has them. */
  readonly inPlace: boolean;
}

/** Sequences for a disk of `size` bytes, at least one, in ranges of whole blocks. */
export function operations(size: number, blockBytes = 1): fc.Arbitrary<Operation[]> {
  const blocks = (bytes: number): number => bytes - (bytes % blockBytes);
  const block = fc.nat(Math.floor((size - 1) / 4096)).map((number) => number * 4096);
  const start = fc.oneof(fc.nat(size - 1), block);
  const length = fc.oneof(
    fc.integer({ min: 1, max: size }),
    fc.integer({ min: 1, max: Math.min(size, 10_000) }),
    fc.constantFrom(1, 512, 4096, 8192, size),
  );
  const operation = fc
    .record({
      kind: fc.constantFrom('write', 'write', 'read', 'trim', 'writeZeroes', 'flush', 'cache'),
      offset: start,
      length,
      seed: fc.nat(1000),
      fua: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
      noHole: fc.boolean(),
      fast: fc.boolean(),
      inPlace: fc.boolean(),
    } as const)
    .map((draft) => {
      const offset = blocks(draft.offset);
      const length = Math.min(blocks(draft.length + blockBytes - 1), size - offset);
      return { ...draft, offset, length };
    });
  return fc.array(operation, { minLength: 1, maxLength: 30 });
}

export async function run(
  disk: WritableBackend,
  model: Buffer,
  operation: Operation,
): Promise<void> {
  const { kind, offset, length } = operation;
  const place = model.subarray(offset, offset + length);
  switch (kind) {
    case 'write':
      return write(disk, place, operation);
    case 'read':
      assertSame(await read(disk, operation), place);
      return;
    case 'trim':
      return trim(disk, place, operation);
    case 'writeZeroes':
      return writeZeroes(disk, place, operation);
    case 'flush':
      return disk.flush();
    case 'cache':
      return disk.cache?.(offset, length);
  }
}

async function write(
  disk: WritableBackend,
  place: Buffer,
  { offset, length, seed, fua, inPlace }: Operation,
): Promise<void> {
  const data = pattern(length, seed);
  place.set(data);
  const target = inPlace ? disk.writeTarget?.(offset, length) : undefined;
  if (target === undefined) {
    await disk.write(offset, data, { fua });
    return;
  }
  assert.equal(target.length, length);
  target.set(data);
  await disk.write(offset, target, { fua });
}

async function read(
  disk: WritableBackend,
  { offset, length, inPlace }: Operation,
): Promise<Uint8Array> {
  const slice: Slice = { memory: new Uint8Array(0), start: 0 };
  if (inPlace && disk.readSlice?.(offset, length, slice) === true) {
    return slice.memory.slice(slice.start, slice.start + length);
  }
  return joined(await disk.read(offset, length));
}

/** A hint: afterwards each byte is what it was, or zero. */
async function trim(
  disk: WritableBackend,
  place: Buffer,
  { offset, length, fua }: Operation,
): Promise<void> {
  await disk.trim(offset, length, { fua });
  const got = joined(await disk.read(offset, length));
  assert.equal(got.length, length);
  const wrong = got.findIndex((byte, index) => byte !== 0 && byte !== place[index]);
  assert.equal(wrong, -1, `byte ${wrong} after a trim is ${got[wrong]}`);
  place.set(got);
}

async function writeZeroes(
  disk: WritableBackend,
  place: Buffer,
  { offset, length, fua, noHole, fast }: Operation,
): Promise<void> {
  try {
    await disk.writeZeroes(offset, length, { fua, noHole, fast });
  } catch (error) {
    // The one refusal there is; "SHOULD NOT alter the contents of the export".
    assert.ok(fast && codeOf(error) === 'ENOTSUP', String(error));
    return;
  }
  place.fill(0);
}
