/** Metadata contexts that return values of the wrong type. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, MetaContext } from '../../lib/index.js';
import { pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const content = pattern(8192);

function diskOf(context: MetaContext): Backend {
  return {
    size: content.length,
    read: (offset, length) => content.subarray(offset, offset + length),
    contexts: [context],
  };
}

describe('the error for a context that returns no valid extents names the context', () => {
  for (const [what, answer] of Object.entries({
    nothing: undefined,
    null: null,
    'a number': 5,
    'a string': 'extents',
    'an object': {},
    'a single extent': { length: 512, flags: 0 },
  })) {
    for (const [when, status] of [
      ['at once', () => answer],
      ['later', () => Promise.resolve(answer)],
    ] as const) {
      test(`${what}, ${when}`, async (t) => {
        const context: MetaContext = { name: 'x-test:it', status: () => [] };
        Object.assign(context, { status });
        const client = await (await startServer(t, { exports: { '': diskOf(context) } })).connect();
        await client.open('structured', '', ['x-test:it']);
        const { error, message } = await client.call({ type: cmd.blockStatus, length: 4096 });
        assert.equal(error, err.EIO);
        assert.match(message, /context "x-test:it" returned a value that is not iterable/);
        assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
      });

      test(`${what}, ${when}, of base:allocation`, async (t) => {
        const disk = { size: content.length, read: (): Uint8Array => content, extents: status };
        const client = await (await startServer(t, { exports: { '': disk as Backend } })).connect();
        await client.open('structured', '', ['base:allocation']);
        const { error, message } = await client.call({ type: cmd.blockStatus, length: 4096 });
        assert.equal(error, err.EIO);
        assert.match(message, /context "base:allocation" returned a value that is not iterable/);
      });
    }
  }

  for (const missing of [undefined, null]) {
    for (const name of ['x-test:it', 'base:allocation']) {
      test(`an array with ${missing} in it, of ${name}`, async (t) => {
        const extents = () => [{ length: 512, flags: 0, hole: false, zero: false }, missing];
        const disk = {
          size: content.length,
          read: (): Uint8Array => content,
          contexts: [{ name: 'x-test:it', status: extents }],
          extents,
        };
        const client = await (await startServer(t, { exports: { '': disk as Backend } })).connect();
        await client.open('structured', '', [name]);
        const { error, message } = await client.call({ type: cmd.blockStatus, length: 4096 });
        assert.equal(error, err.EIO);
        assert.match(message, new RegExp(`invalid extents: one is ${missing}`));
      });
    }
  }
});

describe('a generator of base:allocation extents is ended', () => {
  for (const [when, second, flags, error] of [
    ['when the disk is covered', { length: 7680, hole: true, zero: true }, 0, 0],
    ['after one extent with REQ_ONE', { length: 512, hole: true, zero: true }, cmdFlag.reqOne, 0],
    ['when the range is covered', { length: 4096, hole: true, zero: true }, 0, 0],
    ['when an extent is missing', undefined, 0, err.EIO],
    ['when an extent is invalid', { length: -1, hole: true, zero: true }, 0, err.EIO],
  ] as const) {
    test(when, async (t) => {
      let ended = 0;
      function* extents(): Generator {
        try {
          yield { length: 512, hole: false, zero: false };
          yield second;
          yield* Array.from({ length: 7 }, () => ({ length: 512, hole: false, zero: false }));
        } finally {
          ended++;
        }
      }
      const disk = { size: content.length, read: (): Uint8Array => content, extents };
      const client = await (await startServer(t, { exports: { '': disk as Backend } })).connect();
      await client.open('structured', '', ['base:allocation']);
      const reply = await client.call({ type: cmd.blockStatus, length: 4096, flags });
      assert.equal(reply.error, error);
      assert.equal(ended, 1);
    });
  }
});
