/** Headers of replies, against bytes that are put together here. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  extendedReplyBytes,
  ReplyHeader,
  simpleReplyBytes,
  structuredReplyBytes,
  writeExtendedReply,
  writeSimpleReply,
  writeStructuredReply,
} from '../../lib/wire/reply.js';
import { Request } from '../../lib/wire/request.js';
import { requestBytes } from '../support/byte-client.js';
import { u16, u32, u64 } from '../support/numbers.js';

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const uint16 = fc.integer({ min: 0, max: 0xffff });
const margin = 5;

/** What `write` puts between two margins that it must not touch. */
function written(length: number, write: (view: DataView, at: number) => void): Buffer {
  const bytes = Buffer.alloc(length + 2 * margin, 0xaa);
  write(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), margin);
  const frame = Buffer.alloc(margin, 0xaa);
  assert.deepEqual(bytes.subarray(0, margin), frame);
  assert.deepEqual(bytes.subarray(margin + length), frame);
  return bytes.subarray(margin, margin + length);
}

function requestOf(cookie: bigint, offset = 0n): Request {
  const bytes = requestBytes('extended', { type: 0, cookie, offset });
  const request = new Request();
  assert.ok(request.readExtended(new DataView(Uint8Array.from(bytes).buffer), 0));
  return request;
}

describe('writing the header of a reply', () => {
  test('simple', () => {
    fc.assert(
      fc.property(uint64, uint32, (cookie, error) => {
        const bytes = written(simpleReplyBytes, (view, at) => {
          writeSimpleReply(view, at, requestOf(cookie), error);
        });
        assert.deepEqual(bytes, Buffer.concat([u32(0x67446698), u32(error), u64(cookie)]));
      }),
    );
  });

  test('structured', () => {
    fc.assert(
      fc.property(uint64, uint16, uint16, uint32, (cookie, flags, type, length) => {
        const bytes = written(structuredReplyBytes, (view, at) => {
          writeStructuredReply(view, at, requestOf(cookie), flags, type, length);
        });
        const fields = [u32(0x668e33ef), u16(flags), u16(type), u64(cookie), u32(length)];
        assert.deepEqual(bytes, Buffer.concat(fields));
      }),
    );
  });

  test('extended: with all 64 bits of the offset', () => {
    fc.assert(
      fc.property(uint64, uint64, uint16, uint16, uint32, (cookie, offset, flags, type, length) => {
        const bytes = written(extendedReplyBytes, (view, at) => {
          writeExtendedReply(view, at, requestOf(cookie, offset), flags, type, length);
        });
        const ids = [u32(0x6e8a278c), u16(flags), u16(type), u64(cookie)];
        assert.deepEqual(bytes, Buffer.concat([...ids, u64(offset), u64(length)]));
      }),
    );
  });
});

describe('reading the header of a reply', () => {
  /** Used again for every header, as a client does: what an earlier one had must be gone. */
  const header = new ReplyHeader();

  function read(at: number, fields: readonly Buffer[]): Record<string, number | bigint> {
    const bytes = Buffer.concat([Buffer.alloc(at, 0xff), ...fields]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    assert.equal(ReplyHeader.byteLength(view, at), bytes.length - at);
    assert.equal(header.read(view, at), true);
    const { cookieHigh, cookieLow, ...others } = header;
    const cookie = BigInt.asUintN(64, (BigInt(cookieHigh) << 32n) | BigInt(cookieLow >>> 0));
    return { cookie, ...others };
  }

  const exact = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
  const anywhere = fc.nat(9);

  test('simple', () => {
    fc.assert(
      fc.property(anywhere, uint64, uint32, (at, cookie, error) => {
        assert.deepEqual(read(at, [u32(0x67446698), u32(error), u64(cookie)]), {
          cookie,
          error,
          flags: 0,
          type: 0,
          offset: 0,
          length: 0,
        });
      }),
    );
  });

  test('structured', () => {
    fc.assert(
      fc.property(anywhere, uint64, uint16, uint16, uint32, (at, cookie, flags, type, length) => {
        const fields = [u32(0x668e33ef), u16(flags), u16(type), u64(cookie), u32(length)];
        const expected = { cookie, error: 0, flags, type, offset: 0, length };
        assert.deepEqual(read(at, fields), expected);
      }),
    );
  });

  test('extended', () => {
    fc.assert(
      fc.property(uint64, exact, exact, uint16, uint16, (cookie, offset, length, flags, type) => {
        const ids = [u32(0x6e8a278c), u16(flags), u16(type), u64(cookie)];
        assert.deepEqual(read(3, [...ids, u64(offset), u64(length)]), {
          cookie,
          error: 0,
          flags,
          type,
          offset: Number(offset),
          length: Number(length),
        });
      }),
    );
  });

  test('of an unknown kind is refused', () => {
    for (const magic of [0x67446698, 0x668e33ef, 0x6e8a278c]) {
      for (let bit = 0; bit < 32; bit++) {
        const bytes = Buffer.concat([u32((magic ^ (1 << bit)) >>> 0), Buffer.alloc(28)]);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        assert.equal(ReplyHeader.byteLength(view, 0), 0);
        assert.equal(header.read(view, 0), false);
      }
    }
  });
});
