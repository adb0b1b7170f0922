/** Descriptors cover what the extents of a context do, with as few descriptors as possible. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeDescriptors } from '../../lib/transmission/descriptors.js';
import { cmd, cmdFlag } from '../support/numbers.js';
import { parseStatus } from '../support/status.js';

interface Piece {
  readonly length: number;
  readonly flags: number;
}

/** Lengths of blocks, of gigabytes, and around the place where 32 bits end. */
const blocks = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 20 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 ** 25 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2 ** 23 - 300, max: 2 ** 23 + 300 }) },
);
const pieces = fc.array(fc.record({ blocks, flags: fc.nat(2) }), { minLength: 1, maxLength: 40 });

/** The part of `all` before `end`, with equal neighbours merged. */
function merged(all: readonly Piece[], end: number): Piece[] {
  const runs: Piece[] = [];
  let position = 0;
  for (const { length, flags } of all) {
    const bytes = Math.min(length, end - position);
    const last = runs.at(-1);
    if (bytes <= 0) break;
    if (last?.flags === flags) runs.splice(-1, 1, { flags, length: last.length + bytes });
    else runs.push({ length: bytes, flags });
    position += bytes;
  }
  return runs;
}

const total = (runs: readonly Piece[]): number => runs.reduce((sum, { length }) => sum + length, 0);

test('descriptors follow from extents', () => {
  fc.assert(
    fc.property(
      pieces,
      fc.record({
        alignment: fc.constantFrom(1, 512),
        asked: blocks,
        more: fc.nat(2 ** 24),
        one: fc.boolean(),
        extended: fc.boolean(),
        extentsMax: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(1000)),
      }),
      (drafts, { alignment, asked, more, one, extended, extentsMax }) => {
        const returned = drafts.map(({ blocks: count, flags }) => ({
          length: count * alignment,
          flags,
        }));
        // Structured requests have 32 bits of length.
        const length = Math.min(asked * alignment, extended ? Infinity : 2 ** 32 - 512);
        const available = length + more * alignment;
        const options = { extended, wide: false, one, length, available, alignment, extentsMax };
        const payload = Buffer.from(encodeDescriptors(77, returned, options));
        const flags = one ? cmdFlag.reqOne : 0;
        // Checks the specification's rules for the sums and for REQ_ONE.
        const { id, extents } = parseStatus(extended ? 6 : 5, payload, {
          type: cmd.blockStatus,
          length,
          flags,
        });
        assert.equal(id, 77);
        const got = extents.map(([bytes, bits]) => ({
          length: Number(bytes),
          flags: Number(bits),
        }));
        assert.ok(got.length <= extentsMax);
        assert.ok(got.every((piece) => piece.length % alignment === 0));

        const end = one ? length : available;
        const covered = total(got);
        // Every byte has the same flags.
        assert.deepEqual(merged(got, end), merged(returned, covered));
        // No required extent is missing.
        const known = total(merged(returned.slice(0, extentsMax), end));
        if (one) {
          assert.equal(covered, merged(returned.slice(0, extentsMax), end)[0]?.length);
        } else if (got.length < extentsMax) {
          assert.ok(covered >= Math.min(length, known));
        }
        // Only extents that are too long for 32 bits are split.
        const cut = 2 ** 32 - 2 ** 16;
        for (const [index, piece] of got.entries()) {
          if (got[index + 1]?.flags !== piece.flags) continue;
          assert.ok(!extended && piece.length === cut);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
