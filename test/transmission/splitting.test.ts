/** Replies do not depend on how the requests are split into packets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { strategyNames } from '../../lib/transport/index.js';
import { headerKinds } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag } from '../support/numbers.js';
import { startServer } from '../support/server.js';
import {
  answers,
  answersOf,
  cut,
  diskBytes,
  diskKinds,
  requestLists,
  sequenceBytes,
} from './support/sequences.js';

/** A request of every kind, with short payloads so that there are not too many places to cut. */
const shortSequence = [
  { type: cmd.write, offset: 5, payload: pattern(33, 8) },
  { type: cmd.read, offset: 100, length: 50 },
  { type: cmd.write, offset: 2 ** 50, payload: pattern(20) },
  { type: cmd.writeZeroes, offset: 10, length: 4, flags: cmdFlag.noHole },
  { type: 77 },
  { type: cmd.blockStatus, offset: 3, length: 200, flags: cmdFlag.reqOne },
  { type: cmd.blockStatus, offset: 50, length: 100, listedIds: [1] },
  { type: cmd.write, offset: 1, payload: pattern(1) },
  { type: cmd.flush },
];

describe('requests split in two', () => {
  const size = 500;

  for (const place of ['duplex', 'Unix'] as const) {
    for (const headers of headerKinds) {
      test(`at every byte, with ${headers} headers on ${place}`, async (t) => {
        const disk = new BufferDisk(Buffer.alloc(size));
        const serving = await startServer(t, { exports: { '': disk } }, place);
        const answered = (pieces: Buffer[]): Promise<Buffer> => {
          disk.bytes.set(pattern(size));
          return answers(serving, headers, pieces);
        };
        const bytes = sequenceBytes(headers, shortSequence, size);
        const whole = await answered([bytes]);
        assert.ok(whole.length >= size + 50 + 8 * 16);
        for (let at = 1; at < bytes.length; at++) {
          const split = await answered([bytes.subarray(0, at), bytes.subarray(at)]);
          assert.ok(split.equals(whole), `cut behind byte ${at}`);
        }
        const single = await answered([...bytes].map((byte) => Buffer.of(byte)));
        assert.ok(single.equals(whole), 'cut into single bytes');
      });
    }
  }
});

describe('random requests in random parts', () => {
  for (const [what, newDisk] of Object.entries(diskKinds)) {
    for (const place of ['duplex', 'Unix'] as const) {
      test(`to ${what}, on ${place}`, async (t) => {
        await fc.assert(
          fc.asyncProperty(
            requestLists,
            fc.constantFrom(...headerKinds),
            fc.array(fc.nat(), { maxLength: 12 }),
            async (requests, headers, places) => {
              const bytes = sequenceBytes(headers, requests);
              const whole = await answersOf(t, place, newDisk(), headers, [bytes]);
              const pieces = await answersOf(t, place, newDisk(), headers, cut(bytes, places));
              assert.ok(pieces.equals(whole));
            },
          ),
          { numRuns: 40 },
        );
      });
    }
  }

  test('get the same replies from every kind of disk', async (t) => {
    const [first, ...others] = Object.values(diskKinds);
    assert.ok(first !== undefined);
    await fc.assert(
      fc.asyncProperty(requestLists, fc.constantFrom(...headerKinds), async (requests, headers) => {
        // The disks offer different things, know more or less, and trimming may do anything.
        const common = requests.filter(
          ({ type, flags = 0 }) => type !== cmd.trim && type !== cmd.blockStatus && flags === 0,
        );
        // Some know of holes, which DF hides.
        const whole = common.map((fields) =>
          fields.type === cmd.read && headers !== 'simple'
            ? { ...fields, flags: cmdFlag.df }
            : fields,
        );
        const bytes = sequenceBytes(headers, whole);
        const expected = await answersOf(t, 'Unix', first(), headers, [bytes]);
        for (const newDisk of others) {
          assert.ok((await answersOf(t, 'Unix', newDisk(), headers, [bytes])).equals(expected));
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('every strategy of the transport', () => {
  for (const place of ['Unix', 'TCP', 'duplex'] as const) {
    test(`sends the same replies on ${place}`, async (t) => {
      const requests = Array.from({ length: 300 }, (_, index) => ({
        type: index % 7 === 0 ? cmd.write : cmd.read,
        offset: index * 200 + (index % 7 === 0 ? 100_000 : 0),
        ...(index % 7 === 0 ? { payload: pattern(index * 10) } : { length: index * 100 }),
      }));
      for (const headers of headerKinds) {
        const replies: Buffer[] = [];
        for (const transmit of strategyNames) {
          const options = { exports: { '': new BufferDisk(pattern(diskBytes)) }, transmit };
          const client = await (await startServer(t, options, place)).open(headers);
          client.send(sequenceBytes(headers, requests));
          replies.push(await client.closed);
        }
        const [first] = replies;
        assert.ok(first !== undefined && first.length > 300 * 16);
        for (const bytes of replies) assert.ok(bytes.equals(first));
      }
    });
  }
});
