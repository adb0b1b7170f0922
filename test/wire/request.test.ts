/** "Request message", against bytes that are put together here. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { extendedRequestHeaderBytes, Request, requestHeaderBytes } from '../../lib/wire/request.js';
import { requestBytes } from '../support/byte-client.js';

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const exact = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
const uint16 = fc.integer({ min: 0, max: 0xffff });
const twoTo53 = 2 ** 53;

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function cookieOf(request: Request): bigint {
  return (
    BigInt.asUintN(32, BigInt(request.cookieHigh)) * 2n ** 32n +
    BigInt.asUintN(32, BigInt(request.cookieLow))
  );
}

describe('the header of a request', () => {
  test('has 28 bytes, or 32', () => {
    assert.equal(requestHeaderBytes, 28);
    assert.equal(extendedRequestHeaderBytes, 32);
  });

  for (const headers of ['simple', 'extended'] as const) {
    test(`${headers}: every field is read, at any position`, () => {
      const lengths = headers === 'extended' ? exact : fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
      fc.assert(
        fc.property(
          uint16,
          uint16,
          uint64,
          exact,
          lengths,
          fc.nat(9),
          (flags, type, cookie, offset, length, at) => {
            const bytes = Buffer.concat([
              Buffer.alloc(at, 0xff),
              requestBytes(headers, { flags, type, cookie, offset, length }),
            ]);
            const request = new Request();
            const read = headers === 'extended' ? 'readExtended' : 'read';
            assert.equal(request[read](viewOf(bytes), at), true);
            assert.equal(request.flags, flags);
            assert.equal(request.type, type);
            assert.equal(cookieOf(request), cookie);
            assert.equal(request.offset, Number(offset));
            assert.equal(request.length, Number(length));
            const copy = new Request();
            copy.copyFrom(request);
            assert.deepEqual(copy, request);
          },
        ),
      );
    });

    test(`${headers}: offsets past 2^53 - 1 stay larger`, () => {
      fc.assert(
        fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), (offset) => {
          const request = new Request();
          const bytes = requestBytes(headers, { type: 0, offset });
          assert.ok(request[headers === 'extended' ? 'readExtended' : 'read'](viewOf(bytes), 0));
          assert.ok(request.offset >= twoTo53);
        }),
      );
    });
  }

  test('lengths past 2^53 - 1 stay larger', () => {
    for (const length of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const request = new Request();
      assert.ok(request.readExtended(viewOf(requestBytes('extended', { type: 0, length })), 0));
      assert.ok(request.length >= twoTo53);
    }
  });

  for (const headers of ['simple', 'extended'] as const) {
    test(`${headers}: every field is written, and nothing around them`, () => {
      const lengths = headers === 'extended' ? exact : fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
      fc.assert(
        fc.property(
          uint16,
          uint16,
          uint64,
          exact,
          lengths,
          fc.nat(9),
          (flags, type, cookie, offset, length, at) => {
            const expected = Buffer.concat([
              Buffer.alloc(at, 0xff),
              requestBytes(headers, { flags, type, cookie, offset, length }),
              Buffer.alloc(3, 0xff),
            ]);
            const request = new Request();
            request.flags = flags;
            request.type = type;
            request.cookieHigh = Number(BigInt.asIntN(32, cookie >> 32n));
            request.cookieLow = Number(BigInt.asIntN(32, cookie));
            request.offset = Number(offset);
            request.length = Number(length);
            const bytes = Buffer.alloc(expected.length, 0xff);
            request[headers === 'extended' ? 'writeExtended' : 'write'](viewOf(bytes), at);
            assert.deepEqual(bytes, expected);
          },
        ),
      );
    });
  }

  test('with any other magic is refused', () => {
    const compact = requestBytes('simple', { type: 0 });
    const extended = requestBytes('extended', { type: 0 });
    const request = new Request();
    assert.equal(request.readExtended(viewOf(Buffer.concat([compact, Buffer.alloc(4)])), 0), false);
    assert.equal(request.read(viewOf(extended), 0), false);
    for (let bit = 0; bit < 32; bit++) {
      const [wrong, wrongExtended] = [Buffer.from(compact), Buffer.from(extended)];
      for (const bytes of [wrong, wrongExtended]) {
        const at = bit >> 3;
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit & 7)), at);
      }
      assert.equal(request.read(viewOf(wrong), 0), false);
      assert.equal(request.readExtended(viewOf(wrongExtended), 0), false);
    }
  });

  test('a copy is independent', () => {
    const request = new Request();
    request.read(viewOf(requestBytes('simple', { type: 1, cookie: 7n, offset: 8, length: 9 })), 0);
    const copy = new Request();
    copy.copyFrom(request);
    request.read(viewOf(requestBytes('simple', { type: 2, cookie: 1n, offset: 2, length: 3 })), 0);
    assert.equal(copy.type, 1);
    assert.equal(cookieOf(copy), 7n);
    assert.equal(copy.offset, 8);
    assert.equal(copy.length, 9);
  });
});
