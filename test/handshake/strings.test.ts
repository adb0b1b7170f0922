import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkString, readString } from '../../lib/handshake/strings.js';

const bad = { code: 'NBDCORK_BAD_STRING' };

describe('strings from clients', () => {
  for (const text of ['', 'disk', 'Straße', '\ufeffmark', '\u{1f4be}', 'x'.repeat(4096)]) {
    test(`${JSON.stringify(text.slice(0, 8))} is unchanged`, () => {
      assert.equal(readString(Buffer.from(text)), text);
    });
  }

  for (const [what, bytes] of Object.entries({
    'a lone continuation byte': [0x80],
    'a sequence that ends too early': [0x61, 0xe2, 0x82],
    'an overlong sequence': [0xc1, 0xbf],
    'half a surrogate pair': [0xed, 0xbf, 0xbf],
    'what is past the last code point': [0xf4, 0x90, 0x80, 0x80],
    NUL: [0x61, 0],
  })) {
    test(`${what} is refused`, () => {
      assert.throws(() => readString(Uint8Array.from(bytes)), bad);
    });
  }

  test('4097 bytes are refused', () => {
    assert.throws(() => readString(Buffer.alloc(4097, 0x61)), bad);
    assert.throws(() => readString(Buffer.from('ü'.repeat(2049))), bad);
  });
});

describe('strings for clients', () => {
  for (const text of ['', 'Straße', 'x'.repeat(4096), 'ü'.repeat(2048)]) {
    test(`${JSON.stringify(text.slice(0, 8))} of ${text.length} characters is accepted`, () => {
      assert.doesNotThrow(() => checkString('name', text));
    });
  }

  for (const text of ['a\0', 'x'.repeat(4097), 'ü'.repeat(2049), '\ud800']) {
    test(`${JSON.stringify(text.slice(0, 8))} of ${text.length} characters is refused`, () => {
      assert.throws(() => checkString('name', text), bad);
    });
  }

  for (const value of [undefined, null, 5, Buffer.from('name')]) {
    test(`${typeof value} is not a string`, () => {
      assert.throws(() => checkString('name', value), bad);
    });
  }
});
