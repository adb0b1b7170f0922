/** Backends that return promises: replies in any order, each with the cookie of its request. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NbdError, type Backend } from '../../lib/index.js';
import { headerKinds } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { connectionKinds, startServer } from '../support/server.js';

const content = pattern(1 << 20);

function waitingNames({ waiting }: SlowDisk): string[] {
  return waiting.map(({ name }) => name);
}

for (const kind of connectionKinds) {
  for (const headers of headerKinds) {
    describe(`an asynchronous backend, with ${headers} headers on ${kind}`, () => {
      test('has replies in the order it finishes, each with its cookie', async (t) => {
        const disk = new SlowDisk(t, content);
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const asked = Array.from({ length: 20 }, (_, index) => ({
          index,
          cookie: client.request({ type: cmd.read, offset: 100 * index, length: 64 + index }),
        }));
        await disk.callsStarted(20);
        while (asked.length > 0) {
          const at = asked.length >> 1;
          const [expected] = asked.splice(at, 1);
          disk.finish(at);
          const reply = await client.reply();
          assert.ok(expected !== undefined);
          assert.equal(reply.cookie, expected.cookie);
          const offset = 100 * expected.index;
          assert.deepEqual(reply.data, content.subarray(offset, offset + 64 + expected.index));
        }
      });

      test('does not delay requests that are answered at once', async (t) => {
        const slow = new SlowDisk(t, content);
        const backend: Backend = {
          size: content.length,
          read: (offset, length) =>
            offset === 0 ? slow.read(offset, length) : content.subarray(offset, offset + length),
        };
        const client = await (
          await startServer(t, { exports: { '': backend } }, kind)
        ).open(headers);
        const late = client.request({ type: cmd.read, offset: 0, length: 10 });
        await client.call({ type: cmd.read, offset: 1, length: 10 });
        await client.call({ type: 99 });
        slow.finish();
        assert.equal((await client.reply()).cookie, late);
      });

      test('gets payloads that later requests do not overwrite', async (t) => {
        const disk = new SlowDisk(t, Buffer.alloc(1 << 20));
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const lengths = [1, 100, 4096, 16_384, 40_000, 100, 300_000, 7];
        const sent = lengths.map((length, index) => pattern(length, index));
        for (const payload of sent) client.request({ type: cmd.write, payload });
        // Fills the server's buffer many times over with something else.
        for (let count = 0; count < 100; count++) {
          client.request({ type: cmd.write, payload: Buffer.alloc(20_000, 0xee) });
        }
        await disk.callsStarted(lengths.length + 100);
        for (const payload of sent) {
          assert.ok(payload.equals(disk.waiting[0]?.data ?? Buffer.alloc(0)));
          disk.finish();
          assert.equal((await client.reply()).error, 0);
        }
      });
    });
  }
}

describe('a backend that returns a promise for each command', () => {
  test('gets the same replies as a synchronous one', async (t) => {
    class Late extends BufferDisk {
      override async read(offset: number, length: number) {
        return Promise.resolve(super.read(offset, length));
      }
      override async write(offset: number, data: Uint8Array, options: { fua: boolean }) {
        await Promise.resolve();
        await super.write(offset, data, options);
      }
      override async flush() {
        await Promise.resolve();
        await super.flush();
      }
      override async trim(offset: number, length: number, options: { fua: boolean }) {
        await Promise.resolve();
        await super.trim(offset, length, options);
      }
      override async cache(offset: number, length: number) {
        await Promise.resolve();
        await super.cache(offset, length);
      }
    }
    for (const headers of headerKinds) {
      const disk = new Late(Buffer.from(content));
      const client = await (await startServer(t, { exports: { '': disk } })).open(headers);
      const payloadLen = headers === 'extended' ? cmdFlag.payloadLen : 0;
      const payload = pattern(5000, 4);
      for (const fields of [
        { type: cmd.write, offset: 10, payload, flags: payloadLen },
        { type: cmd.write, offset: 10, payload, flags: payloadLen | cmdFlag.fua },
        { type: cmd.flush },
        { type: cmd.trim, offset: 10, length: 1, flags: cmdFlag.fua },
        { type: cmd.cache, offset: 10, length: 1 },
      ]) {
        assert.equal((await client.call(fields)).error, 0);
      }
      assert.deepEqual(disk.calls, [
        'write 10 5000',
        'write 10 5000 fua',
        'flush',
        'flush',
        'trim 10 1 fua',
        'flush',
        'cache 10 1',
      ]);
      const { data } = await client.call({ type: cmd.read, offset: 0, length: 6000 });
      const expected = [content.subarray(0, 10), payload, content.subarray(5010, 6000)];
      assert.ok(data.equals(Buffer.concat(expected)));
    }
  });

  test('may return thenables of another class', async (t) => {
    const backend: Backend = {
      size: 4096,
      read: (offset, length) => {
        const promise = Promise.resolve(content.subarray(offset, offset + length));
        const thenable = { then: promise.then.bind(promise) };
        return Object.assign(Object.create(null) as Promise<Buffer>, thenable);
      },
    };
    const client = await (await startServer(t, { exports: { '': backend } })).open();
    const { data } = await client.call({ type: cmd.read, offset: 7, length: 9 });
    assert.deepEqual(data, content.subarray(7, 16));
  });

  test('a command with FUA is answered after the flush, not before', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(4096));
    const client = await (await startServer(t, { exports: { '': disk } })).open();
    const write = client.request({
      type: cmd.write,
      payload: Buffer.alloc(8, 1),
      flags: cmdFlag.fua,
    });
    await disk.callsStarted(1);
    assert.deepEqual(waitingNames(disk), ['write']);
    disk.finish();
    await disk.callsStarted(2);
    assert.deepEqual(waitingNames(disk), ['flush']);
    // Answered in between, so the reply was not sent before the flush.
    assert.equal((await client.call({ type: 99 })).error, err.EINVAL);
    disk.finish();
    assert.equal((await client.reply()).cookie, write);
  });

  test('a command with FUA fails if the command or the flush fails', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(4096));
    const client = await (await startServer(t, { exports: { '': disk } })).open();
    const fields = { type: cmd.write, payload: Buffer.alloc(8, 1), flags: cmdFlag.fua };
    client.request(fields);
    await disk.callsStarted(1);
    disk.fail(new NbdError('ENOSPC', 'full'));
    assert.equal((await client.reply()).error, err.ENOSPC);
    client.request(fields);
    await disk.callsStarted(2);
    disk.finish();
    await disk.callsStarted(3);
    disk.fail(new NbdError('EIO', 'lost'));
    assert.equal((await client.reply()).error, err.EIO);
    assert.equal(disk.started, 3);
  });
});
