/** Limits of requests and bytes in flight, and backpressure from clients that do not read. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { ByteClient, headerKinds, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd, err } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const content = pattern(1 << 20);
const mebibyte = 2 ** 20;

for (const kind of connectionKinds) {
  describe(`requests in flight, on ${kind}`, () => {
    for (const requestsInFlightMax of [1, 3]) {
      test(`a backend never sees more than requestsInFlightMax ${requestsInFlightMax}`, async (t) => {
        const disk = new SlowDisk(t, content);
        const limits = { requestsInFlightMax };
        const client = await (await startServer(t, { exports: { '': disk }, limits }, kind)).open();
        const cookies = Array.from({ length: 40 }, (_, index) =>
          client.request({ type: cmd.read, offset: index, length: 5 }),
        );
        for (const [index, cookie] of cookies.entries()) {
          await disk.callsStarted(Math.min(index + requestsInFlightMax, cookies.length));
          disk.finish();
          const reply = await client.reply();
          assert.equal(reply.cookie, cookie);
          assert.deepEqual(reply.data, content.subarray(index, index + 5));
        }
        assert.equal(disk.callsPeak, requestsInFlightMax);
      });
    }

    test('a backend never sees more bytes than bytesInFlightMax and one request', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const limits = { bytesInFlightMax: 100_000 };
      const client = await (await startServer(t, { exports: { '': disk }, limits }, kind)).open();
      for (let index = 0; index < 30; index++) {
        client.request(
          index % 2 === 0
            ? { type: cmd.read, offset: index, length: 40_000 }
            : { type: cmd.write, offset: 500_000, payload: pattern(40_000) },
        );
      }
      for (let index = 0; index < 30; index++) {
        await disk.callsStarted(Math.min(index + 3, 30));
        disk.finish();
        assert.equal((await client.reply()).error, 0);
      }
      assert.equal(disk.callsPeak, 3);
      assert.equal(disk.bytesPeak, 120_000);
    });

    test('a client is not read while its requests wait', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const limits = { requestsInFlightMax: 2 };
      const serving = await startServer(t, { exports: { '': disk }, limits }, kind);
      const client = await serving.open();
      const count = 300;
      for (let index = 0; index < count; index++) {
        client.request({ type: cmd.write, payload: pattern(100_000, index) });
      }
      await disk.callsStarted(2);
      const other = await serving.connect();
      await other.greet();
      for (let index = 0; index < 100; index++) await eventLoopTurn();
      // Far more than sockets hold for a reader that has stopped.
      const kept = client.stream.writableLength;
      assert.ok(kept > 10 * mebibyte, `only ${kept} bytes were left with the client`);
      disk.release();
      for (let index = 0; index < count; index++) assert.equal((await client.reply()).error, 0);
      assert.equal(disk.callsPeak, 2);
      assert.ok(disk.bytes.subarray(0, 100_000).equals(pattern(100_000, count - 1)));
    });

    test('waiting requests are not overwritten by those of other clients', async (t) => {
      const disk = new SlowDisk(t, content);
      const options = {
        exports: { '': disk, other: new BufferDisk(Buffer.from(content)) },
        limits: { requestsInFlightMax: 1 },
      };
      const serving = await startServer(t, options, kind);
      const [client, other] = [await serving.open(), await serving.open('simple', 'other')];
      const asked = Array.from({ length: 40 }, (_, index) =>
        client.expectReply({ type: cmd.read, offset: index, length: 5 }),
      );
      client.send(...asked.map((request) => requestBytes('simple', request)));
      for (const [index, { cookie }] of asked.entries()) {
        await disk.callsStarted(index + 1);
        await other.call({ type: cmd.write, payload: Buffer.alloc(10_000, 0xee) });
        disk.finish();
        const reply = await client.reply();
        assert.equal(reply.cookie, cookie);
        assert.deepEqual(reply.data, content.subarray(index, index + 5));
      }
    });

    test('invalid requests among waiting ones are answered in order', async (t) => {
      const disk = new SlowDisk(t, content);
      const limits = { requestsInFlightMax: 1 };
      const client = await (await startServer(t, { exports: { '': disk }, limits }, kind)).open();
      for (let index = 0; index < 20; index++) {
        client.request({ type: cmd.read, offset: index, length: 5 });
        client.request({ type: 99 });
      }
      for (let index = 0; index < 20; index++) {
        await disk.callsStarted(index + 1);
        disk.finish();
        assert.deepEqual((await client.reply()).data, content.subarray(index, index + 5));
        assert.equal((await client.reply()).error, err.EINVAL);
      }
    });
  });

  describe(`a client that does not read, on ${kind}`, () => {
    const length = 65_536;
    const count = 1500;

    for (const [what, late] of [
      ['is synchronous', false],
      ['is asynchronous', true],
    ] as const) {
      test(`has no more replies read than fit the sockets, by a backend that ${what}`, async (t) => {
        let calls = 0;
        const read = (offset: number): Buffer => {
          calls++;
          return content.subarray(offset, offset + length);
        };
        const backend: Backend = {
          size: content.length,
          read: (offset) => (late ? eventLoopTurn().then(() => read(offset)) : read(offset)),
        };
        const limits = { bytesInFlightMax: 4 * length };
        const exports = { '': backend, other: new BufferDisk(content) };
        const serving = await startServer(t, { exports, limits }, kind);
        const client = await serving.open();
        client.stream.pause();
        for (let index = 0; index < count; index++) {
          client.request({ type: cmd.read, offset: index, length });
        }
        // While an ordinary client is served as ever.
        const other = await serving.open('structured', 'other');
        for (let index = 0; index < 200; index++) {
          const { data } = await other.call({ type: cmd.read, offset: index, length: 100 });
          assert.deepEqual(data, content.subarray(index, index + 100));
        }
        // Sockets may hold megabytes; all of it would be 94 MiB.
        assert.ok(calls > 0 && calls < count / 2, `${calls} of ${count} were read`);
        client.stream.resume();
        for (let index = 0; index < count; index++) {
          const { data } = await client.reply();
          assert.ok(data.equals(content.subarray(index, index + length)));
        }
        assert.equal(calls, count);
      });
    }
  });
}

describe('a client on a Duplex that does not read', () => {
  for (const headers of headerKinds) {
    test(`does not accumulate error replies, with ${headers} headers`, async (t) => {
      const { server } = await startServer(
        t,
        { exports: { '': new BufferDisk(content) } },
        'duplex',
      );
      const [near, far] = duplexPair();
      t.after(() => far.destroy());
      void server.serve(far);
      const client = new ByteClient(near);
      await client.open(headers);
      near.pause();
      const count = 30_000;
      const wrong = Array.from({ length: count }, () => requestBytes(headers, { type: 99 }));
      near.write(Buffer.concat(wrong));
      await until(() => far.writableNeedDrain);
      for (let index = 0; index < 50; index++) await eventLoopTurn();
      assert.ok(far.writableLength < mebibyte / 4, `${far.writableLength} bytes are queued`);
      near.resume();
      for (let index = 0; index < count; index++) {
        client.expectReply({ type: 99, cookie: 1n });
        assert.equal((await client.reply()).error, err.EINVAL);
      }
    });
  }
});
