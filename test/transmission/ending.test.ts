/** "Terminating the transmission phase", and clients that disconnect in other ways. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { duplexPair } from '../transport/support/duplex.js';
import {
  ByteClient,
  goData,
  headerKinds,
  optionBytes,
  requestBytes,
} from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd, cmdFlag, opt, u32 } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const content = pattern(300_000);
const newDisk = (): BufferDisk => new BufferDisk(Buffer.from(content));

for (const kind of connectionKinds) {
  describe(`NBD_CMD_DISC on ${kind}`, () => {
    for (const headers of headerKinds) {
      test(`closes the connection without a reply, with ${headers} headers`, async (t) => {
        const { server, open } = await startServer(t, { exports: { '': newDisk() } }, kind);
        const client = await open(headers);
        await client.call({ type: cmd.flush });
        client.request({ type: cmd.disc });
        assert.equal((await client.closed).length, 0);
        await until(() => server.connectionCount === 0);
      });
    }

    test('closes the connection after all previous requests are answered', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const client = await open();
      const read = client.request({ type: cmd.read, offset: 1, length: 100 });
      const write = client.request({ type: cmd.write, offset: 0, payload: Buffer.alloc(10, 1) });
      client.request({ type: cmd.disc });
      await disk.callsStarted(2);
      for (let count = 0; count < 20; count++) await eventLoopTurn();
      assert.equal(server.connectionCount, 1);
      disk.finish(1);
      assert.equal((await client.reply()).cookie, write);
      disk.finish(0);
      assert.equal((await client.reply()).cookie, read);
      assert.equal((await client.closed).length, 0);
    });

    test('waits for requests that wait because of the limits', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const limits = { requestsInFlightMax: 1 };
      const client = await (await startServer(t, { exports: { '': disk }, limits }, kind)).open();
      for (let index = 0; index < 10; index++) {
        client.request({ type: cmd.read, offset: index, length: 9 });
      }
      client.request({ type: cmd.disc });
      disk.release();
      for (let index = 0; index < 10; index++) {
        assert.deepEqual((await client.reply()).data, content.subarray(index, index + 9));
      }
      assert.equal((await client.closed).length, 0);
    });

    test('ends the transmission: requests after it are ignored', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const client = await (await startServer(t, { exports: { '': disk } }, kind)).open();
      client.request({ type: cmd.read, length: 10 });
      client.request({ type: cmd.disc });
      client.request({ type: cmd.write, payload: Buffer.alloc(100) });
      await disk.callsStarted(1);
      client.request({ type: cmd.write, payload: Buffer.alloc(100) });
      await eventLoopTurn();
      disk.finish();
      await client.reply();
      assert.equal((await client.closed).length, 0);
      assert.equal(disk.started, 1);
    });

    test('sends all replies that the client has not read yet', async (t) => {
      const client = await (await startServer(t, { exports: { '': newDisk() } }, kind)).open();
      client.stream.pause();
      for (let index = 0; index < 100; index++) {
        client.request({ type: cmd.read, offset: index, length: 200_000 });
      }
      client.request({ type: cmd.disc });
      for (let count = 0; count < 20; count++) await eventLoopTurn();
      client.stream.resume();
      for (let index = 0; index < 100; index++) {
        const { data } = await client.reply();
        assert.ok(data.equals(content.subarray(index, index + 200_000)));
      }
      assert.equal((await client.closed).length, 0);
    });
  });

  describe(`a request with another magic, on ${kind}`, () => {
    for (const headers of headerKinds) {
      for (const [what, magic] of [
        ['nonsense', 0x12345678],
        ['that of a reply', 0x67446698],
        ['the other kind of header', headers === 'extended' ? 0x25609513 : 0x21e41c71],
      ] as const) {
        test(`${what} closes the connection, with ${headers} headers`, async (t) => {
          const disk = newDisk();
          const client = await (
            await startServer(t, { exports: { '': disk } }, kind)
          ).open(headers);
          const wrong = requestBytes(headers, { type: cmd.flush });
          u32(magic).copy(wrong);
          client.send(wrong, requestBytes(headers, { type: cmd.flush }));
          assert.equal((await client.closed).length, 0);
          assert.deepEqual(disk.calls, []);
        });
      }
    }

    test('after valid requests closes the connection when these are answered', async (t) => {
      const client = await (await startServer(t, { exports: { '': newDisk() } }, kind)).open();
      const good = client.expectReply({ type: cmd.read, offset: 3, length: 33 });
      client.send(requestBytes('simple', good), Buffer.alloc(28));
      assert.deepEqual((await client.reply()).data, content.subarray(3, 36));
      assert.equal((await client.closed).length, 0);
    });
  });
}

for (const kind of ['Unix', 'TCP'] as const) {
  describe(`a client that half-closes the connection, on ${kind}`, () => {
    test('gets every reply, then the end of the stream', async (t) => {
      const { server, open } = await startServer(t, { exports: { '': newDisk() } }, kind);
      const client = await open('structured');
      for (let index = 0; index < 50; index++) {
        client.request({ type: cmd.read, offset: index, length: 100_000 });
      }
      client.stream.end();
      for (let index = 0; index < 50; index++) {
        const { data } = await client.reply();
        assert.ok(data.equals(content.subarray(index, index + 100_000)));
      }
      assert.equal((await client.closed).length, 0);
      await until(() => server.connectionCount === 0);
    });

    test('gets replies of an asynchronous backend', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const limits = { requestsInFlightMax: 2 };
      const client = await (await startServer(t, { exports: { '': disk }, limits }, kind)).open();
      for (let index = 0; index < 6; index++) {
        client.request({ type: cmd.read, offset: index, length: 100 });
      }
      client.stream.end();
      for (let index = 0; index < 6; index++) {
        await disk.callsStarted(Math.min(index + 2, 6));
        for (let count = 0; count < 5; count++) await eventLoopTurn();
        disk.finish();
        assert.deepEqual((await client.reply()).data, content.subarray(index, index + 100));
      }
      assert.equal((await client.closed).length, 0);
    });

    test('directly after the handshake is answered too', async (t) => {
      const client = await (await startServer(t, { exports: { '': newDisk() } }, kind)).open();
      client.request({ type: cmd.read, offset: 5, length: 5 });
      client.stream.end();
      assert.deepEqual((await client.reply()).data, content.subarray(5, 10));
      assert.equal((await client.closed).length, 0);
    });

    test('in the middle of a header or a payload is disconnected', async (t) => {
      const disk = newDisk();
      const { server, open } = await startServer(t, { exports: { '': disk } }, kind);
      const write = requestBytes('simple', { type: cmd.write, payload: pattern(40_000) });
      for (const sent of [1, 27, 28, 29, 20_000, 40_027]) {
        const client = await open();
        client.send(write.subarray(0, sent));
        client.stream.end();
        assert.equal((await client.closed).length, 0);
        await until(() => server.connectionCount === 0);
      }
      assert.deepEqual(disk.calls, []);
    });
  });

  describe(`a client that closes the connection, on ${kind}`, () => {
    test('has its requests finished and their results discarded', async (t) => {
      const disk = new SlowDisk(t, Buffer.from(content));
      const serving = await startServer(t, { exports: { '': disk } }, kind);
      const client = await serving.open();
      client.request({ type: cmd.read, length: 10 });
      client.request({ type: cmd.write, payload: Buffer.alloc(10, 1) });
      client.request({ type: cmd.write, payload: Buffer.alloc(10, 1) });
      await disk.callsStarted(3);
      client.stream.destroy();
      await eventLoopTurn();
      disk.finish();
      disk.finish();
      disk.fail(new Error('too late'));
      await until(() => serving.server.connectionCount === 0);
      assert.deepEqual(disk.bytes.subarray(0, 10), Buffer.alloc(10, 1));
      const other = await serving.open();
      const read = other.request({ type: cmd.read, length: 10 });
      await disk.callsStarted(4);
      disk.finish();
      assert.equal((await other.reply()).cookie, read);
    });
  });
}

describe('a client that sends everything before the server reads', () => {
  for (const headers of headerKinds) {
    test(`is answered, with ${headers} headers`, async (t) => {
      const { server } = await startServer(t, { exports: { '': newDisk() } }, 'duplex');
      const [near, far] = duplexPair();
      t.after(() => near.destroy());
      [near.allowHalfOpen, far.allowHalfOpen] = [true, true];
      const client = new ByteClient(near);
      client.headers = headers;
      const read = client.expectReply({ type: cmd.read, offset: 3, length: 500 });
      const agreement = { simple: [], structured: [8], extended: [11] }[headers];
      client.send(
        u32(3),
        ...agreement.map((option) => optionBytes(option)),
        optionBytes(opt.go, goData('')),
        requestBytes(headers, read),
      );
      near.end();
      const serving = server.serve(far);
      await client.take(18);
      for (const option of [...agreement, opt.go]) await client.optionReplies(option);
      assert.deepEqual((await client.reply()).data, content.subarray(3, 503));
      await serving;
      near.destroy();
    });
  }
});

describe('a write whose payload arrives in part only', () => {
  test('is not written, whatever the flags', async (t) => {
    const disk = newDisk();
    const { server, open } = await startServer(t, { exports: { '': disk } });
    const client = await open('extended');
    const flags = cmdFlag.payloadLen | cmdFlag.fua;
    const write = requestBytes('extended', { type: cmd.write, payload: pattern(100_000), flags });
    client.send(write.subarray(0, 90_000));
    await eventLoopTurn();
    client.stream.destroy();
    await until(() => server.connectionCount === 0);
    assert.deepEqual(disk.calls, []);
    assert.ok(disk.bytes.equals(content));
  });
});
