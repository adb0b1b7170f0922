/** close() while a payload is under way: its request has begun, so it is answered. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  headerKinds,
  requestBytes,
  type ByteClient,
  type RequestFields,
} from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, err } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const size = 2 ** 20;
const payload = pattern(60_000, 9);

/** A request of which only the last `missing` bytes have yet to come. Gives these. */
async function begin(
  client: ByteClient,
  fields: RequestFields,
  missing: number,
): Promise<Uint8Array> {
  const { headers } = client;
  const bytes = requestBytes(headers, client.expectReply(fields));
  // The answer to what comes before it says that its beginning was heard.
  const flush = requestBytes(headers, client.expectReply({ type: cmd.flush }));
  client.send(flush, bytes.subarray(0, bytes.length - missing));
  assert.equal((await client.reply()).error, 0);
  return bytes.subarray(bytes.length - missing);
}

for (const kind of connectionKinds) {
  describe(`close() in the middle of a payload, on ${kind}`, () => {
    for (const headers of headerKinds) {
      for (const missing of [1, 30_000, payload.length]) {
        test(`of a WRITE waits for its last ${missing} bytes, with ${headers} headers`, async (t) => {
          const disk = new BufferDisk(Buffer.alloc(size));
          const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
          const client = await open(headers);
          const rest = await begin(client, { type: cmd.write, offset: 5, payload }, missing);
          const closing = server.close();
          for (let count = 0; count < 10; count++) await eventLoopTurn();
          assert.equal(server.connectionCount, 1);
          client.send(
            rest,
            requestBytes(headers, client.expectReply({ type: cmd.read, length: 10 })),
          );
          assert.equal((await client.reply()).error, 0);
          const late = await client.closed;
          // What comes behind it is refused, or finds nobody.
          assert.ok(late.length === 0 || late.includes(Buffer.of(err.ESHUTDOWN)));
          await closing;
          assert.ok(disk.bytes.subarray(5, 5 + payload.length).equals(payload));
          assert.deepEqual(disk.calls, ['flush', `write 5 ${payload.length}`, 'flush', 'close']);
        });
      }
    }

    test('that is refused waits for all of it as well', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      const rest = await begin(client, { type: cmd.write, offset: size, payload }, 100);
      const closing = server.close();
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      client.send(rest);
      assert.equal((await client.reply()).error, err.ENOSPC);
      assert.equal((await client.closed).length, 0);
      await closing;
    });

    test('does not wait for the payload of a request that came later', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      const rest = await begin(client, { type: cmd.write, offset: 5, payload }, 100);
      const closing = server.close();
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      const later = requestBytes('simple', client.expectReply({ type: cmd.write, payload }));
      client.send(rest, later.subarray(0, 1000));
      assert.equal((await client.reply()).error, 0);
      await client.closed;
      await closing;
      assert.deepEqual(disk.calls, ['flush', `write 5 ${payload.length}`, 'flush', 'close']);
    });

    test('reads on when the client has taken the replies before it', async (t) => {
      const disk = new BufferDisk(pattern(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      client.stream.pause();
      // Just short of what is sent before all of a read is dealt with.
      const read = client.expectReply({ type: cmd.read, length: 1_000_000 });
      const write = requestBytes('simple', client.expectReply({ type: cmd.write, payload }));
      client.send(requestBytes('simple', read), write.subarray(0, 1000));
      await until(() => disk.calls.length > 0);
      const closing = server.close();
      client.send(write.subarray(1000));
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      client.stream.resume();
      assert.ok((await client.reply()).data.equals(pattern(size).subarray(0, 1_000_000)));
      assert.equal((await client.reply()).error, 0);
      assert.equal((await client.closed).length, 0);
      await closing;
    });

    test('does not wait for the rest of a header', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      await begin(client, { type: cmd.read, length: 10 }, 1);
      const closing = server.close();
      assert.equal((await client.closed).length, 0);
      await closing;
    });

    test('does not wait for a client that sends nothing more', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      await begin(client, { type: cmd.write, payload }, 100);
      const closing = server.close();
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      client.stream.end();
      assert.equal((await client.closed).length, 0);
      await closing;
      assert.deepEqual(disk.calls, ['flush', 'flush', 'close']);
    });

    test('waits no longer than for anything else', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const disk = new BufferDisk(Buffer.alloc(size));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      await begin(client, { type: cmd.write, payload }, 100);
      const closing = server.close();
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      assert.equal(server.connectionCount, 1);
      t.mock.timers.tick(8000);
      assert.equal((await client.closed).length, 0);
      await closing;
      assert.deepEqual(disk.calls, ['flush', 'flush', 'close']);
    });
  });
}
