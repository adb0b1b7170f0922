/** NBD_CMD_READ, NBD_CMD_FLUSH, NBD_CMD_CACHE, NBD_CMD_DISC, and what holds for all requests. */
import assert from 'node:assert/strict';
import { requestBytes } from '../../support/byte-client.js';
import { cmd, cmdFlag, err, transmission } from '../../support/numbers.js';
import { withEachHeaderKind, requireOffered, type Case } from '../case.js';
import type { Client } from '../client.js';
import { content, diskBytes } from '../disks.js';

const size = diskBytes.writable;

/** That the stream is still in step: a read gives what the disk has. */
export async function stillAnswers(client: Client): Promise<void> {
  const { error, data } = await client.call({ type: cmd.read, offset: 8192, length: 4096 });
  assert.equal(error, 0);
  assert.ok(data.equals(content.subarray(8192, 12_288)), 'the data of the next READ');
}

const reading: readonly Case[] = [
  {
    section: 'NBD_CMD_READ',
    level: 'MUST',
    title: 'READ gives the data, in chunks where these are agreed on',
    check: withEachHeaderKind(async (client) => {
      for (const [offset, length] of [
        [0, 512],
        [4096, 200_000],
        [content.length - 4096, 8192],
        [size - 4096, 4096],
      ] as const) {
        const reply = await client.call({ type: cmd.read, offset, length });
        assert.equal(reply.error, 0);
        const expected = Buffer.alloc(length);
        expected.set(content.subarray(offset, offset + length));
        assert.ok(reply.data.equals(expected), `the data at ${offset}`);
        assert.equal(reply.chunks === undefined, client.headers === 'simple');
      }
    }),
  },
  {
    section: 'Size constraints',
    level: 'SHOULD',
    title: 'READ of single bytes works without block sizes',
    check: withEachHeaderKind(async (client) => {
      const { data } = await client.call({ type: cmd.read, offset: 1001, length: 3 });
      assert.deepEqual(data, content.subarray(1001, 1004));
    }),
  },
  {
    section: 'Size constraints',
    level: 'SHOULD',
    title: 'READ of 32 MiB works',
    check: withEachHeaderKind(async (client) => {
      const { error, data } = await client.call({ type: cmd.read, length: 2 ** 25 });
      assert.equal(error, 0);
      assert.ok(data.subarray(0, content.length).equals(content));
    }),
  },
  {
    section: 'NBD_CMD_READ',
    level: 'SHOULD',
    title: 'READ of no bytes does not disconnect',
    check: withEachHeaderKind(async (client) => {
      // Whatever the answer is: "the behavior [...] is unspecified".
      await client.call({ type: cmd.read, offset: 512, length: 0 });
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'READ past the end is EINVAL',
    check: withEachHeaderKind(async (client) => {
      for (const offset of [size - 512, size, size + 512, 2n ** 63n - 1024n]) {
        const reply = await client.call({ type: cmd.read, offset, length: 1024 });
        assert.equal(reply.error, err.EINVAL, `at ${offset}`);
      }
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_CMD_READ',
    level: 'MUST',
    title: 'READ that fails is answered in chunks where these are agreed on',
    check: withEachHeaderKind(
      async (client) => {
        const reply = await client.call({ type: cmd.read, offset: size, length: 512 });
        assert.notEqual(reply.chunks, undefined);
        assert.notEqual(reply.error, 0);
      },
      ['structured', 'extended'],
    ),
  },
  {
    section: 'Structured reply chunk message',
    level: 'SHOULD',
    title: 'errors are sent in chunks, with a message',
    check: withEachHeaderKind(
      async (client) => {
        for (const type of [cmd.read, 0x4142]) {
          const { chunks } = await client.call({ type, offset: size, length: 512 });
          assert.notEqual(chunks?.[0]?.payload.readUInt16BE(4) ?? 0, 0, 'there is no text');
        }
      },
      ['structured', 'extended'],
    ),
  },
  {
    section: 'NBD_CMD_READ',
    level: 'MUST',
    title: 'READ of 64 KiB with DF is one content chunk',
    check: withEachHeaderKind(
      async (client, flags) => {
        requireOffered(flags, transmission.sendDf, 'SEND_DF');
        const offset = content.length - 32_768;
        const fields = { type: cmd.read, offset, length: 65_536, flags: cmdFlag.df };
        const { error, chunks = [] } = await client.call(fields);
        assert.equal(error, 0);
        assert.equal(chunks.filter(({ type }) => type === 1 || type === 2).length, 1);
      },
      ['structured', 'extended'],
    ),
  },
  {
    section: 'Size constraints',
    level: 'MUST',
    title: 'READ of 2^32 - 1 bytes fails, or ends the connection',
    check: withEachHeaderKind(async (client) => {
      const cookie = client.request({ type: cmd.read, length: 2 ** 32 - 1 });
      const reply = await client.replyOrClosed();
      if (reply === 'closed') return;
      assert.equal(reply.cookie, cookie);
      assert.notEqual(reply.error, 0);
      await stillAnswers(client);
    }),
  },
];

const others: readonly Case[] = [
  {
    section: 'NBD_CMD_FLUSH',
    level: 'MUST',
    title: 'FLUSH succeeds where it is offered',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendFlush, 'SEND_FLUSH');
      assert.equal((await client.call({ type: cmd.flush })).error, 0);
      await stillAnswers(client);
    }),
  },
  {
    section: 'Command flags',
    level: 'MUST',
    title: 'FUA is accepted on commands that write nothing',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendFua, 'SEND_FUA');
      const fua = { flags: cmdFlag.fua };
      assert.equal((await client.call({ type: cmd.read, length: 512, ...fua })).error, 0, 'READ');
      if ((flags & transmission.sendFlush) === 0) return;
      assert.equal((await client.call({ type: cmd.flush, ...fua })).error, 0, 'FLUSH');
    }),
  },
  {
    section: 'NBD_CMD_CACHE',
    level: 'MUST',
    title: 'CACHE changes nothing, and refuses flags that it does not have',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendCache, 'SEND_CACHE');
      await client.call({ type: cmd.cache, offset: 4096, length: 8192 });
      const wrong = { type: cmd.cache, offset: 4096, length: 8192, flags: cmdFlag.noHole };
      assert.notEqual((await client.call(wrong)).error, 0);
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'unknown commands are EINVAL',
    check: withEachHeaderKind(async (client) => {
      for (const type of [9, 0x4142, 0xffff]) {
        const reply = await client.call({ type, offset: 512, length: 512 });
        assert.equal(reply.error, err.EINVAL, `command ${type}`);
      }
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'unknown flags, and flags of other commands, are EINVAL',
    check: withEachHeaderKind(async (client) => {
      for (const flags of [0x8000, 0x40, cmdFlag.reqOne, cmdFlag.noHole, cmdFlag.fastZero]) {
        const reply = await client.call({ type: cmd.read, length: 512, flags });
        assert.equal(reply.error, err.EINVAL, `flag ${flags}`);
      }
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'DF is EINVAL where replies are simple',
    check: withEachHeaderKind(
      async (client) => {
        const reply = await client.call({ type: cmd.read, length: 512, flags: cmdFlag.df });
        assert.equal(reply.error, err.EINVAL);
        await stillAnswers(client);
      },
      ['simple'],
    ),
  },
  {
    section: 'Transmission',
    level: 'MUST',
    title: 'of 200 requests in one packet each is answered once, in whatever order',
    check: withEachHeaderKind(async (client) => {
      const asked = new Map<bigint, number>();
      const packet = Array.from({ length: 200 }, (_, index) => {
        const [type, offset] = index % 7 === 0 ? [0x4142, 0] : [cmd.read, index * 516];
        const fields = client.expectReply({ type, offset, length: 1024 });
        asked.set(fields.cookie, index % 7 === 0 ? -1 : offset);
        return requestBytes(client.headers, fields);
      });
      client.send(...packet);
      while (asked.size > 0) {
        const { cookie, error, data } = await client.reply();
        const offset = asked.get(cookie) ?? 0;
        assert.equal(error !== 0, offset < 0);
        if (offset >= 0) assert.ok(data.equals(content.subarray(offset, offset + 1024)));
        asked.delete(cookie);
      }
    }),
  },
  {
    section: 'Transmission',
    level: 'MUST',
    title: 'cookies are opaque: any bits are returned, and may be reused',
    check: withEachHeaderKind(async (client) => {
      for (const cookie of [0n, 2n ** 64n - 1n, 2n ** 63n, 7n, 7n]) {
        assert.equal((await client.call({ type: cmd.read, cookie, length: 512 })).error, 0);
        await client.call({ type: 0x4142, cookie });
      }
    }),
  },
  {
    section: 'NBD_CMD_DISC',
    level: 'MUST',
    title: 'DISC has no reply and closes the connection',
    check: withEachHeaderKind(async (client) => {
      client.request({ type: cmd.disc });
      await client.expectClosed();
    }),
  },
  {
    section: 'NBD_CMD_DISC',
    level: 'MUST',
    title: 'DISC after requests closes the connection when these are answered',
    check: withEachHeaderKind(async (client) => {
      const reads = Array.from({ length: 20 }, (_, index) =>
        client.expectReply({ type: cmd.read, offset: index * 4096, length: 4096 }),
      );
      const packet = [...reads, client.expectReply({ type: cmd.disc })];
      client.send(...packet.map((fields) => requestBytes(client.headers, fields)));
      for (const read of reads) {
        assert.ok(read.length > 0);
        assert.equal((await client.reply()).error, 0);
      }
      await client.expectClosed();
    }),
  },
  {
    section: 'Terminating the transmission phase',
    level: 'MAY',
    title: 'a request with another magic closes the connection',
    check: withEachHeaderKind(async (client) => {
      const bytes = requestBytes(client.headers, { type: cmd.read, cookie: 1n, length: 512 });
      bytes.writeUInt32BE(0x12560953);
      client.send(bytes);
      assert.equal(await client.replyOrClosed(), 'closed');
    }),
  },
];

export const requests: readonly Case[] = [...reading, ...others];
