import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SortedNumbers } from '../../../lib/backend/memory/sorted-numbers.js';

/** All of them, in the order in which they are found. */
function all(numbers: SortedNumbers): number[] {
  const found: number[] = [];
  let value = numbers.next(0);
  while (value !== undefined) {
    found.push(value);
    value = numbers.next(value + 1);
  }
  return found;
}

function nextOf(model: ReadonlySet<number>, value: number): number | undefined {
  return [...model].sort((a, b) => a - b).find((number) => number >= value);
}

describe('sorted numbers', () => {
  test('match a set', () => {
    const value = fc.nat(60);
    const step = fc.tuple(fc.constantFrom('add', 'add', 'delete', 'next'), value);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), value, (steps, from) => {
        const numbers = new SortedNumbers();
        const model = new Set<number>();
        for (const [kind, number] of steps) {
          if (kind === 'add') {
            numbers.add(number);
            model.add(number);
          } else if (kind === 'next') {
            assert.equal(numbers.next(number), nextOf(model, number));
          } else {
            numbers.delete(number);
            model.delete(number);
          }
        }
        assert.deepEqual(
          all(numbers),
          [...model].sort((a, b) => a - b),
        );
        assert.equal(numbers.next(from), nextOf(model, from));
      }),
    );
  });

  test('match a large set, whatever changed since the last search', () => {
    const value = fc.nat(4000);
    const step = fc.record({
      kind: fc.constantFrom('add', 'delete', 'next'),
      from: value,
      count: fc.constantFrom(1, 2, 300, 1500),
      stride: fc.constantFrom(1, 3),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const numbers = new SortedNumbers();
        const present = new Uint8Array(10_000);
        for (const { kind, from, count, stride } of steps) {
          for (let index = 0; index < count; index++) {
            const number = from + index * stride;
            if (kind === 'next') {
              const found = present.indexOf(1, number);
              assert.equal(numbers.next(number), found < 0 ? undefined : found);
            } else {
              present[number] = kind === 'add' ? 1 : 0;
              numbers[kind === 'add' ? 'add' : 'delete'](number);
            }
          }
        }
      }),
    );
  });

  for (const [order, place] of [
    ['ascending', (index: number) => index],
    ['descending', (index: number) => 9999 - index],
    ['scattered', (index: number) => (index * 7919) % 10_000],
  ] as const) {
    test(`are found among ten thousand, added ${order}, past 32 bits`, () => {
      const numbers = new SortedNumbers();
      const expected = Array.from({ length: 10_000 }, (_, index) => index * 2 ** 33);
      for (let index = 0; index < 10_000; index++) numbers.add(place(index) * 2 ** 33);
      assert.deepEqual(all(numbers), expected);
      assert.equal(numbers.next(2 ** 33 * 77 + 1), 2 ** 33 * 78);
      for (let index = 0; index < 10_000; index++) {
        if (index % 100 !== 0) numbers.delete(place(index) * 2 ** 33);
      }
      assert.equal(all(numbers).length, 100);
      numbers.clear();
      assert.equal(numbers.next(0), undefined);
    });
  }
});
