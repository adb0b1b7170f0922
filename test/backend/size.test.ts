import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseSize } from '../../lib/backend/size.js';
import { NbdError } from '../../lib/errors.js';

const sizes: readonly (readonly [string, number])[] = [
  ['0', 0],
  ['1000', 1000],
  ['0064', 64],
  ['512B', 512],
  ['1K', 1024],
  ['64M', 67_108_864],
  ['64m', 67_108_864],
  ['64MB', 67_108_864],
  ['64MiB', 67_108_864],
  ['1.5G', 1_610_612_736],
  ['0.5K', 512],
  ['10G', 10_737_418_240],
  ['2T', 2_199_023_255_552],
  ['7P', 7_881_299_347_898_368],
  ['0.001953125E', 2_251_799_813_685_248],
  ['9007199254740991', 9_007_199_254_740_991],
];

const nonsense = [
  '',
  ' ',
  'M',
  '64 M',
  ' 64M',
  '64M\n',
  '-1',
  '+1',
  '-64M',
  '1.',
  '.5M',
  '1e6',
  '0x10',
  '64X',
  '64iB',
  '64MiBi',
  '1,5G',
  '1_000',
  '١',
  'NaN',
  'Infinity',
  '1.0001K',
  '0.5',
  '9007199254740992',
  '8P',
  '8E',
  '16EiB',
  '99999999999999999999999',
  '1'.repeat(100_000),
];

describe('sizes', () => {
  for (const [text, bytes] of sizes) {
    test(`${text} is ${bytes} bytes`, () => {
      assert.equal(parseSize(text), bytes);
    });
  }

  for (const text of nonsense) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused`, () => {
      assert.throws(
        () => parseSize(text),
        (error: unknown) => {
          assert.ok(error instanceof NbdError);
          assert.equal(error.code, 'NBDCORK_BAD_SIZE');
          assert.ok(error.message.includes(`"${text.slice(0, 64)}`));
          return error.message.length < 250;
        },
      );
    });
  }

  test('every number of bytes is its own size', () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(String(bytes)) === bytes));
  });

  test('every suffix is a power of 1024', () => {
    const parts = fc.tuple(fc.nat(2 ** 12 - 1), fc.nat(3), fc.constantFrom('', 'B', 'iB'));
    fc.assert(
      fc.property(parts, ([count, power, tail]) => {
        const letter = ['K', 'M', 'G', 'T'][power] ?? '';
        assert.equal(parseSize(`${count}${letter}${tail}`), count * 1024 ** (power + 1));
      }),
    );
  });
});
