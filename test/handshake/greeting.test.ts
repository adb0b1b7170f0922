/** "Newstyle negotiation": the greeting, the client's flags and NBD_OPT_EXPORT_NAME. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { goData, optionBytes, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, opt, rep, transmission, u16, u32, u64 } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const size = 10_000;
const content = pattern(size);

function exportsOf(disk = new BufferDisk(Buffer.from(content))) {
  return { exports: { '': disk } };
}

const nameReply = Buffer.concat([
  u64(size),
  u16(
    transmission.hasFlags |
      transmission.sendFlush |
      transmission.sendFua |
      transmission.sendTrim |
      transmission.sendWriteZeroes |
      transmission.sendFastZero |
      transmission.sendCache,
  ),
]);

for (const kind of connectionKinds) {
  describe(`the greeting, on ${kind}`, () => {
    test('consists of both magic numbers and the flags for fixed newstyle and no zeroes', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      const greeting = await client.take(18);
      assert.equal(greeting.toString('latin1', 0, 8), 'NBDMAGIC');
      assert.equal(greeting.readBigUInt64BE(8), 0x49484156454f5054n);
      assert.equal(greeting.readUInt16BE(16), 3);
    });

    for (const flags of [0, 1, 2, 3]) {
      test(`client flags ${flags} are accepted`, async (t) => {
        const client = await (await startServer(t, exportsOf(), kind)).connect();
        await client.greet(flags);
        assert.deepEqual((await client.option(opt.list)).at(-1)?.type, rep.ack);
      });
    }

    for (const flags of [4, 7, 0x10000, 0x80000000, 0xffffffff]) {
      test(`client flags 0x${flags.toString(16)} close the connection`, async (t) => {
        const client = await (await startServer(t, exportsOf(), kind)).connect();
        await client.greet(flags);
        client.send(optionBytes(opt.list));
        assert.equal((await client.closed).length, 0);
      });
    }

    test('an option with another magic closes the connection', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      await client.greet();
      const bytes = optionBytes(opt.list);
      bytes[7] = 0x55;
      client.send(bytes);
      assert.equal((await client.closed).length, 0);
    });

    test('a handshake in pieces of one byte succeeds', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      const bytes = Buffer.concat([
        u32(3),
        optionBytes(opt.structuredReply),
        optionBytes(opt.go, goData('')),
      ]);
      for (const byte of bytes) {
        client.send(Buffer.of(byte));
        await eventLoopTurn();
      }
      await client.take(18);
      assert.equal((await client.optionReplies(opt.structuredReply)).at(-1)?.type, rep.ack);
      assert.equal((await client.optionReplies(opt.go)).at(-1)?.type, rep.ack);
      client.headers = 'structured';
      const { data } = await client.call({ type: cmd.read, offset: 5, length: 77 });
      assert.deepEqual(data, content.subarray(5, 82));
    });

    test('requests in the same packet as the whole handshake are answered', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      client.headers = 'extended';
      const requests = [0, 1, 2].map((index) =>
        client.expectReply({ type: cmd.read, offset: 100 * index, length: 1000 }),
      );
      client.send(
        u32(3),
        optionBytes(opt.extendedHeaders),
        optionBytes(opt.go, goData('')),
        ...requests.map((request) => requestBytes('extended', request)),
      );
      await client.take(18);
      await client.optionReplies(opt.extendedHeaders);
      assert.equal((await client.optionReplies(opt.go)).at(-1)?.type, rep.ack);
      for (const { cookie, offset } of requests) {
        const reply = await client.reply();
        assert.equal(reply.cookie, cookie);
        assert.deepEqual(reply.data, content.subarray(offset, offset + 1000));
      }
    });

    test('a long write that begins in the same packet as GO is completed', async (t) => {
      const disk = new BufferDisk(Buffer.alloc(1 << 20));
      const client = await (await startServer(t, exportsOf(disk), kind)).connect();
      const payload = pattern(1 << 20, 9);
      const write = requestBytes('simple', client.expectReply({ type: cmd.write, payload }));
      await client.greet();
      client.send(optionBytes(opt.go, goData('')), write);
      assert.equal((await client.optionReplies(opt.go)).at(-1)?.type, rep.ack);
      assert.equal((await client.reply()).error, 0);
      assert.ok(disk.bytes.equals(payload));
    });
  });

  describe(`NBD_OPT_EXPORT_NAME, on ${kind}`, () => {
    for (const flags of [0, 1]) {
      test(`without NO_ZEROES (flags ${flags}) the reply has 134 bytes`, async (t) => {
        const client = await (await startServer(t, exportsOf(), kind)).connect();
        await client.greet(flags);
        client.send(optionBytes(opt.exportName));
        assert.deepEqual(await client.take(134), Buffer.concat([nameReply, Buffer.alloc(124)]));
        const { data } = await client.call({ type: cmd.read, offset: 0, length: 64 });
        assert.deepEqual(data, content.subarray(0, 64));
      });
    }

    for (const flags of [2, 3]) {
      test(`with NO_ZEROES (flags ${flags}) the reply has 10 bytes`, async (t) => {
        const client = await (await startServer(t, exportsOf(), kind)).connect();
        await client.greet(flags);
        client.send(optionBytes(opt.exportName));
        assert.deepEqual(await client.take(10), nameReply);
        const { data } = await client.call({ type: cmd.read, offset: 0, length: 64 });
        assert.deepEqual(data, content.subarray(0, 64));
      });
    }

    test('requests in the same packet are answered', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      await client.greet();
      const read = client.expectReply({ type: cmd.read, offset: 9000, length: 1000 });
      client.send(optionBytes(opt.exportName), requestBytes('simple', read));
      await client.take(10);
      assert.deepEqual((await client.reply()).data, content.subarray(9000));
    });

    test('an export that does not exist closes the connection', async (t) => {
      const client = await (await startServer(t, exportsOf(), kind)).connect();
      await client.greet();
      client.send(optionBytes(opt.exportName, Buffer.from('other')));
      assert.equal((await client.closed).length, 0);
    });
  });

  describe(`a client that leaves during the handshake, on ${kind}`, () => {
    for (const sent of [0, 2, 4, 10, 25]) {
      test(`after ${sent} bytes is dropped`, async (t) => {
        const { server, connect } = await startServer(t, exportsOf(), kind);
        const client = await connect();
        await client.take(18);
        client.send(Buffer.concat([u32(3), optionBytes(opt.go, goData(''))]).subarray(0, sent));
        client.stream.end();
        assert.equal((await client.closed).length, 0);
        await until(() => server.connectionCount === 0);
      });
    }
  });
}
