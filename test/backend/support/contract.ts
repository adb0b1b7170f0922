/**
 * The contract of every disk, writable or read-only. Each test has a fresh disk;
 * a plain Buffer is the model of its content.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Backend, Slice } from '../../../lib/backend/backend.js';
import {
  assertSame,
  joined,
  pattern,
  readAll,
  requireWritable,
  type WritableBackend,
} from './bytes.js';
import { operations, run, type Operation } from './operations.js';

export interface Subject {
  /** A disk of zeros. The test closes it. */
  make(t: TestContext, size: number): Promise<Backend>;
  /** Sizes to try, in bytes. */
  readonly sizes: readonly number[];
  /** Offsets and lengths are multiples of it; 1 by default. */
  readonly blockBytes?: number;
  /** Random sequences a size. */
  readonly runs: number;
  /** Why it cannot run here. */
  readonly skip?: string | undefined;
}

export function backendContract(name: string, subject: Subject): void {
  describe(`${name} keeps the backend contract`, { skip: subject.skip }, () => {
    for (const size of subject.sizes) {
      describe(`with ${size} bytes`, () => {
        const check = (title: string, body: (disk: WritableBackend) => Promise<void>): void => {
          test(title, async (t) => {
            const disk = await subject.make(t, size);
            try {
              assert.equal(disk.size, size);
              await body(requireWritable(disk));
            } finally {
              await disk.close?.();
            }
          });
        };
        if (size > 0) {
          check('a new disk reads as zeros', isZero);
          check('any range can be read', readsRanges);
          check('concurrent requests do not disturb each other', overlaps);
          check('extents describe every byte correctly', tellsExtents);
          check('written data is used for as long as payloadLifetime says', keepsData);
          check('a written disk reads as zeros once all of it is zeroed', zeroesAll);
          randomSequences(subject, size);
        }
        check('concurrent flushes all complete', flushes);
        test('closing waits for requests in progress', async (t) => {
          await closes(requireWritable(await subject.make(t, size)));
        });
      });
    }
  });
}

/** The part of the contract that holds for a disk that cannot be written. */
export function readOnlyContract(
  name: string,
  make: (t: TestContext) => Promise<{ readonly disk: Backend; readonly content: Buffer }>,
): void {
  test(`${name} keeps the backend contract, without members that write`, async (t) => {
    const { disk, content } = await make(t);
    assert.equal(disk.size, content.length);
    for (const member of ['write', 'writeTarget', 'trim', 'writeZeroes', 'flush', 'resize']) {
      assert.equal(member in disk, false, member);
    }
    await matches(disk, content);
    await describesExtents(disk, content, [0, 1, Math.floor(disk.size / 2)]);
    await disk.cache?.(0, disk.size);
    await disk.close?.();
  });
}

function randomSequences(subject: Subject, size: number): void {
  test('random operations match the model', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        operations(size, subject.blockBytes),
        async (sequence: readonly Operation[]) => {
          const disk = requireWritable(await subject.make(t, size));
          const model = Buffer.alloc(size);
          try {
            for (const operation of sequence) await run(disk, model, operation);
            assertSame(await readAll(disk), model);
          } finally {
            await disk.close?.();
          }
        },
      ),
      { numRuns: subject.runs },
    );
  });
}

function blockBytesOf({ blockSize }: Backend): number {
  return blockSize?.minimum ?? 1;
}

function wholeBlocks(bytes: number, block: number): number {
  return Math.ceil(bytes / block) * block;
}

async function isZero(disk: WritableBackend): Promise<void> {
  assertSame(await readAll(disk), Buffer.alloc(disk.size));
}

async function readsRanges(disk: WritableBackend): Promise<void> {
  const content = pattern(disk.size, 1);
  await disk.write(0, Uint8Array.from(content), { fua: false });
  await matches(disk, content);
}

/** Reads return `content`, through readSlice too. */
async function matches(disk: Backend, content: Buffer): Promise<void> {
  const slice: Slice = { memory: new Uint8Array(0), start: 0 };
  const block = blockBytesOf(disk);
  for (const place of [0, 1, Math.floor(disk.size / 2), disk.size - 1]) {
    const offset = place - (place % block);
    for (const bytes of [1, 511, 4096, 4097, disk.size]) {
      const length = wholeBlocks(bytes, block);
      if (offset + length > disk.size) continue;
      const expected = content.subarray(offset, offset + length);
      assertSame(joined(await disk.read(offset, length)), expected);
      if (disk.readSlice?.(offset, length, slice) !== true) continue;
      assertSame(slice.memory.subarray(slice.start, slice.start + length), expected);
    }
  }
}

/** Many disjoint requests of all kinds, none of them waited for before the next. */
async function overlaps(disk: WritableBackend): Promise<void> {
  const content = pattern(disk.size, 2);
  await disk.write(0, Uint8Array.from(content), { fua: false });
  const step = wholeBlocks(disk.size / 60, blockBytesOf(disk));
  const answers: Promise<void>[] = [];
  const reads: (() => void)[] = [];
  for (let offset = 0, number = 0; offset < disk.size; offset += step, number++) {
    const length = Math.min(step, disk.size - offset);
    const place = content.subarray(offset, offset + length);
    if (number % 3 === 0) {
      const data = pattern(length, number);
      place.set(data);
      const fua = number % 2 === 0;
      answers.push(Promise.resolve(disk.write(offset, Uint8Array.from(data), { fua })));
    } else if (number % 3 === 1) {
      place.fill(0);
      const noHole = number % 2 === 0;
      const options = { fua: false, noHole, fast: false };
      answers.push(Promise.resolve(disk.writeZeroes(offset, length, options)));
    } else {
      const answer = Promise.resolve(disk.read(offset, length));
      answers.push(
        answer.then((bytes) => {
          const got = joined(bytes);
          reads.push(() => assertSame(got, place));
        }),
      );
    }
  }
  answers.push(Promise.resolve(disk.flush()));
  await Promise.all(answers);
  for (const check of reads) check();
  assertSame(await readAll(disk), content);
}

/** Extents follow each other and make progress; what they say is zero reads as zeros. */
async function tellsExtents(disk: WritableBackend): Promise<void> {
  assert.ok(disk.extents !== undefined);
  const step = wholeBlocks(disk.size / 7, blockBytesOf(disk));
  for (let offset = 0, number = 0; offset < disk.size; offset += step, number++) {
    const length = Math.min(step, disk.size - offset);
    if (number % 2 === 0) await disk.write(offset, pattern(length, number), { fua: false });
    else await disk.trim(offset, length, { fua: false });
  }
  const content = await readAll(disk);
  await describesExtents(disk, content, [0, 1, step - 1, step, Math.floor(disk.size / 2)]);
}

async function describesExtents(
  disk: Backend,
  content: Buffer,
  offsets: readonly number[],
): Promise<void> {
  assert.ok(disk.extents !== undefined);
  const block = blockBytesOf(disk);
  for (const place of [...offsets, disk.size - 1]) {
    const offset = place - (place % block);
    if (offset >= disk.size) continue;
    for (const one of [false, true]) {
      let position = offset;
      for (const extent of await disk.extents(offset, disk.size - offset, { one })) {
        assert.ok(Number.isInteger(extent.length) && extent.length > 0);
        assert.equal(extent.length % block, 0);
        const bytes = content.subarray(position, position + extent.length);
        if (extent.zero) assertSame(bytes, Buffer.alloc(bytes.length));
        position += extent.length;
      }
      assert.ok(position > offset && position <= disk.size);
    }
  }
}

async function keepsData(disk: WritableBackend): Promise<void> {
  const content = pattern(disk.size, 3);
  const data = Uint8Array.from(content);
  const answer = disk.write(0, data, { fua: false });
  if (disk.payloadLifetime === 'call') data.fill(0xee);
  await answer;
  if (disk.payloadLifetime === undefined) assertSame(data, content);
  data.fill(0xee);
  assertSame(await readAll(disk), content);
}

async function zeroesAll(disk: WritableBackend): Promise<void> {
  for (const noHole of [false, true]) {
    await disk.write(0, pattern(disk.size, 4), { fua: false });
    await disk.writeZeroes(0, disk.size, { fua: true, noHole, fast: false });
    await isZero(disk);
  }
}

async function closes(disk: WritableBackend): Promise<void> {
  const answers: (Promise<void> | void)[] = [disk.flush()];
  if (disk.size > 0) {
    const data = pattern(disk.size, 5);
    answers.push(disk.write(0, data, { fua: true }), disk.flush());
  }
  const later = answers.filter((answer) => answer instanceof Promise);
  let answered = 0;
  for (const answer of later) void answer.then(() => answered++);
  await disk.close?.();
  assert.equal(answered, later.length);
}

async function flushes(disk: WritableBackend): Promise<void> {
  const answers = Array.from({ length: 20 }, () => Promise.resolve(disk.flush()));
  assert.equal((await Promise.all(answers)).length, 20);
}
