/** Replies to reads: for any pieces from the backend, the chunks are valid and have the same content. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { zeros, type Bytes } from '../../lib/index.js';
import { ReplyWriter } from '../../lib/transmission/reply.js';
import { attach } from '../../lib/transport/index.js';
import { HeaderKind } from '../../lib/wire/header-kind.js';
import { Request } from '../../lib/wire/request.js';
import { shortened } from '../../lib/wire/strings.js';
import {
  ByteClient,
  headerKinds,
  requestBytes,
  type Headers,
  type RequestFields,
} from '../support/byte-client.js';
import { pattern } from '../support/disks.js';
import { cmd, cmdFlag } from '../support/numbers.js';
import { duplexPair } from '../transport/support/duplex.js';

const data = 1;
const hole = 2;
/** Fewer zeros than that are not worth the headers around them. */
const holeBytesMin = 512;

/** A writer of replies, and a client that reads them. */
function connectedWriter(headers: Headers): { writer: ReplyWriter; client: ByteClient } {
  const [near, far] = duplexPair();
  const client = new ByteClient(near);
  client.headers = headers;
  return { writer: new ReplyWriter(attach(far), HeaderKind[headers]), client };
}

function requestOf(headers: Headers, fields: RequestFields): Request {
  const { buffer, byteOffset, byteLength } = requestBytes(headers, fields);
  const view = new DataView(buffer, byteOffset, byteLength);
  const request = new Request();
  assert.ok(headers === 'extended' ? request.readExtended(view, 0) : request.read(view, 0));
  return request;
}

interface Piece {
  readonly bytes: number;
  /** Made by `zeros`, so known to be zeros without a look. */
  readonly zero: boolean;
}

const lengths = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 500, max: 3000 }));
const pieces = fc.array(
  fc.record({
    bytes: fc.oneof({ weight: 6, arbitrary: lengths }, fc.constant(0)),
    zero: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
);

function bytesOf(all: readonly Piece[]): Uint8Array[] {
  return all.flatMap(({ bytes, zero }, index) =>
    zero ? zeros(bytes) : [pattern(bytes, 1000 * (index + 1))],
  );
}

/** Runs of data and of holes, as few as there can be. */
function runsOf(all: readonly Piece[], mayFragment: boolean): { type: number; length: number }[] {
  const runs: { type: number; length: number }[] = [];
  for (const { bytes, zero } of all) {
    const type = zero && bytes >= holeBytesMin && mayFragment ? hole : data;
    const last = runs.at(-1);
    if (bytes === 0) continue;
    if (last?.type === type) runs.splice(-1, 1, { type, length: last.length + bytes });
    else runs.push({ type, length: bytes });
  }
  return runs;
}

/** Found by chance: an empty piece between two holes parted them. */
const emptyBetweenHoles: Piece[] = [
  { bytes: 512, zero: true },
  { bytes: 0, zero: false },
  { bytes: 512, zero: true },
  { bytes: 1, zero: false },
];

const total = (all: readonly Piece[]): number => all.reduce((sum, { bytes }) => sum + bytes, 0);
const offsets = fc.oneof(fc.nat(2 ** 31), fc.integer({ min: 2 ** 32 - 9, max: 2 ** 52 }));
const kinds = fc.constantFrom(...headerKinds);

describe('the reply to a read', () => {
  test('has the content of the pieces in as few chunks as possible', async () => {
    const property = async (
      headers: Headers,
      all: Piece[],
      offset: number,
      df: boolean,
      single: boolean,
    ): Promise<void> => {
      const length = total(all);
      fc.pre(length > 0);
      const { writer, client } = connectedWriter(headers);
      const flags = df && headers !== 'simple' ? cmdFlag.df : 0;
      const fields = client.expectReply({ type: cmd.read, flags, offset, length });
      const expected = Buffer.concat(bytesOf(all));
      const answer: Bytes = single ? expected : bytesOf(all);
      writer.data(requestOf(headers, fields), answer);
      const reply = await client.reply();
      assert.equal(reply.cookie, fields.cookie);
      assert.equal(reply.error, 0);
      assert.ok(reply.data.equals(expected));
      if (headers === 'simple') return;
      const whole = [{ type: data, length }];
      assert.deepEqual(client.lastChunks, single ? whole : runsOf(all, !df));
    };
    await fc.assert(
      fc.asyncProperty(kinds, pieces, offsets, fc.boolean(), fc.boolean(), property),
      { numRuns: 300, examples: [['structured', emptyBetweenHoles, 0, false, false]] },
    );
  });

  test('that failed after a part has the data before the failure and its offset', async () => {
    const property = async (
      headers: Headers,
      all: Piece[],
      offset: number,
      text: string,
      error: number,
      df: boolean,
    ): Promise<void> => {
      const { writer, client } = connectedWriter(headers);
      const done = total(all);
      const flags = df && headers !== 'simple' ? cmdFlag.df : 0;
      const fields = client.expectReply({ type: cmd.read, flags, offset, length: done + 1 });
      const failure = { number: error, text, at: offset + done };
      writer.partial(requestOf(headers, fields), bytesOf(all), failure);
      // The client sees that the error's offset is that behind the data.
      const reply = await client.reply();
      assert.equal(reply.cookie, fields.cookie);
      assert.equal(reply.error, error);
      if (headers === 'simple') return;
      assert.equal(reply.message, text);
      assert.ok(reply.data.equals(Buffer.concat(bytesOf(all))));
      const length = 6 + Buffer.byteLength(text) + 8;
      const chunks = [...runsOf(all, !df), { type: 0x8002, length }];
      assert.deepEqual(client.lastChunks, chunks);
    };
    // Callers shorten texts as the protocol requires.
    const texts = fc.string({ unit: 'binary', maxLength: 300 }).map(shortened);
    const errors = fc.integer({ min: 1, max: 200 });
    await fc.assert(
      fc.asyncProperty(kinds, pieces, offsets, texts, errors, fc.boolean(), property),
      { numRuns: 300, examples: [['extended', emptyBetweenHoles, 4294967287, '', 1, false]] },
    );
  });
});

describe('replies without data', () => {
  test('are sent in order, with and without an error message', async () => {
    const outcomes = fc.array(
      fc.record({ error: fc.constantFrom(0, 1, 5, 108), text: fc.string({ maxLength: 50 }) }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(kinds, outcomes, async (headers, all) => {
        const { writer, client } = connectedWriter(headers);
        const asked = all.map(() => client.expectReply({ type: cmd.trim, offset: 7, length: 9 }));
        for (const [index, { error, text }] of all.entries()) {
          const request = requestOf(headers, asked[index] ?? { type: cmd.trim });
          if (error === 0) writer.done(request);
          else writer.error(request, error, text);
        }
        for (const [index, { error, text }] of all.entries()) {
          const message = error === 0 || headers === 'simple' ? '' : text;
          const { cookie } = asked[index] ?? {};
          const expected = { cookie, error, message, data: Buffer.alloc(0) };
          assert.deepEqual(await client.reply(), expected);
        }
      }),
      { numRuns: 200 },
    );
  });
});
