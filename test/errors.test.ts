import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { codeOf, messageOf, NbdError } from '../lib/errors.js';

const circular: { self?: unknown } = {};
circular.self = circular;

describe('the message of what was thrown', () => {
  for (const [what, thrown, message] of [
    ['an NbdError', new NbdError('EIO', 'The disk is gone.'), 'The disk is gone.'],
    ['an error of another realm', runInNewContext(`new Error('elsewhere')`), 'elsewhere'],
    ['a string', 'no disk', 'no disk'],
    ['a number', 5, '5'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('disk'), 'Symbol(disk)'],
    ['an object', { code: 'EIO', disk: 3 }, '{"code":"EIO","disk":3}'],
    ['an object without a prototype', Object.create(null), '{}'],
    ['an object that has no JSON', { toJSON: () => undefined }, 'unknown error'],
    ['a circular object', circular, 'unknown error'],
  ] as const) {
    test(`of ${what}`, () => {
      assert.equal(messageOf(thrown), message);
    });
  }

  test('of a large object is short', () => {
    assert.ok(messageOf(new Uint8Array(10_000)).length < 1000);
  });
});

describe('the code of what was thrown', () => {
  for (const [what, thrown, code] of [
    ['an NbdError', new NbdError('EIO', 'The disk is gone.'), 'EIO'],
    ['an object', { code: 'EIO' }, 'EIO'],
    ['an error with a number', Object.assign(new Error('five'), { code: 5 }), undefined],
    ['null', null, undefined],
    ['a string', 'EIO', undefined],
  ] as const) {
    test(`of ${what}`, () => {
      assert.equal(codeOf(thrown), code);
    });
  }
});
