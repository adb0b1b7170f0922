/** The greeting and the headers of options, against bytes that are put together here. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  greetingBytes,
  optionHeaderBytes,
  optionReplyHeaderBytes,
  readGreeting,
  readOptionHeader,
  readOptionReplyHeader,
  writeGreeting,
  writeOptionHeader,
  writeOptionReplyHeader,
} from '../../lib/wire/handshake.js';
import { u16, u32 } from '../support/numbers.js';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const margin = 5;

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What `write` puts between two margins, which it must not touch. */
function written(length: number, write: (view: DataView, at: number) => void): Buffer {
  const bytes = Buffer.alloc(length + 2 * margin, 0xaa);
  write(viewOf(bytes), margin);
  const frame = Buffer.alloc(margin, 0xaa);
  assert.deepEqual(bytes.subarray(0, margin), frame);
  assert.deepEqual(bytes.subarray(margin + length), frame);
  return bytes.subarray(margin, margin + length);
}

/** The same bytes at another position. */
function shifted(bytes: Buffer): DataView {
  return viewOf(Buffer.concat([Buffer.alloc(margin, 0xaa), bytes]));
}

/** The same bytes with one bit of the magic wrong, for each bit. */
function* damaged(bytes: Buffer, magicBytes: number): Generator<DataView> {
  for (let bit = 0; bit < 8 * magicBytes; bit++) {
    const wrong = Buffer.from(bytes);
    const at = bit >> 3;
    wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << (bit & 7)), at);
    yield viewOf(wrong);
  }
}

describe('the greeting', () => {
  const bytesOf = (flags: number): Buffer =>
    Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16(flags)]);

  test('is written', () => {
    for (const flags of [0, 1, 2, 3, 0xffff]) {
      const bytes = written(greetingBytes, (view, at) => {
        writeGreeting(view, at, flags);
      });
      assert.deepEqual(bytes, bytesOf(flags));
    }
  });

  test('is read', () => {
    for (const flags of [0, 1, 2, 3, 0xffff]) {
      assert.equal(readGreeting(shifted(bytesOf(flags)), margin), flags);
    }
  });

  test('of anything but a newstyle server is refused', () => {
    for (const view of damaged(bytesOf(3), 16)) assert.equal(readGreeting(view, 0), undefined);
    const oldstyle = Buffer.concat([Buffer.from('NBDMAGIC'), Buffer.from('00420281861253', 'hex')]);
    const padded = Buffer.concat([oldstyle, Buffer.alloc(10)]);
    assert.equal(readGreeting(viewOf(padded), 0), undefined);
  });
});

describe('the header of an option', () => {
  const bytesOf = (option: number, length: number): Buffer =>
    Buffer.concat([Buffer.from('IHAVEOPT'), u32(option), u32(length)]);

  test('is written and read', () => {
    fc.assert(
      fc.property(uint32, uint32, (option, length) => {
        const bytes = written(optionHeaderBytes, (view, at) => {
          writeOptionHeader(view, at, { option, length });
        });
        assert.deepEqual(bytes, bytesOf(option, length));
        assert.deepEqual(readOptionHeader(shifted(bytes), margin), { option, length });
      }),
    );
  });

  test('with any other magic is refused', () => {
    for (const view of damaged(bytesOf(7, 0), 8))
      assert.equal(readOptionHeader(view, 0), undefined);
  });
});

describe('the header of an option reply', () => {
  const bytesOf = (option: number, type: number, length: number): Buffer =>
    Buffer.concat([Buffer.from('0003e889045565a9', 'hex'), u32(option), u32(type), u32(length)]);

  test('is written and read', () => {
    fc.assert(
      fc.property(uint32, uint32, uint32, (option, type, length) => {
        const bytes = written(optionReplyHeaderBytes, (view, at) => {
          writeOptionReplyHeader(view, at, { option, type, length });
        });
        assert.deepEqual(bytes, bytesOf(option, type, length));
        const expected = { option, type, length };
        assert.deepEqual(readOptionReplyHeader(shifted(bytes), margin), expected);
      }),
    );
  });

  test('with any other magic is refused', () => {
    for (const view of damaged(bytesOf(7, 1, 0), 8)) {
      assert.equal(readOptionReplyHeader(view, 0), undefined);
    }
  });
});
