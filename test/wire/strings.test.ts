import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { shortened } from '../../lib/wire/strings.js';

describe('a message for people', () => {
  for (const text of ['', 'Straße', 'x'.repeat(4096), 'ü'.repeat(2048), '\u{1f4be}'.repeat(1024)]) {
    test(`${JSON.stringify(text.slice(0, 8))} of ${text.length} units is unchanged`, () => {
      assert.equal(shortened(text), text);
    });
  }

  test('has a space for each NUL', () => {
    assert.equal(shortened('\0a\0\0b'), ' a  b');
    assert.equal(shortened('\0'.repeat(5000)), ' '.repeat(4096));
  });

  for (const [text, unitCount] of [
    ['x'.repeat(5000), 4096],
    ['€'.repeat(5000), 1365],
    ['\u{1f4be}'.repeat(5000), 2048],
    // The pair would begin with the last byte but two.
    [`xxx${'\u{1f4be}'.repeat(5000)}`, 3 + 2 * 1023],
    ['\ud800'.repeat(5000), 1365],
  ] as const) {
    test(`${JSON.stringify(text.slice(0, 8))} of ${text.length} units is cut to ${unitCount}`, () => {
      assert.equal(shortened(text), text.slice(0, unitCount));
      assert.ok(Buffer.byteLength(shortened(text)) <= 4096);
    });
  }
});
