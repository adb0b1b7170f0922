/** "Newstyle negotiation": the greeting, and options that every server knows or does not. */
import assert from 'node:assert/strict';
import { optionBytes } from '../../support/byte-client.js';
import { opt, rep, u32 } from '../../support/numbers.js';
import { duringNegotiation, type Case } from '../case.js';
import { exportName } from '../client.js';

const noData = Buffer.alloc(0);
const errors = { policy: rep.errPolicy, unsupported: rep.errUnsup, invalid: rep.errInvalid };

export const handshake: readonly Case[] = [
  {
    section: 'Handshake flags',
    level: 'MUST',
    title: 'fixed newstyle is offered, and no flags but NO_ZEROES beside it',
    check: async (connect) => {
      const flags = await (await connect()).greet();
      assert.equal(flags & 1, 1);
      assert.equal(flags & ~3, 0);
    },
  },
  ...[4, 0x80000000].map((flags): Case => ({
    section: 'Client flags',
    level: 'MUST',
    title: `unknown flags (0x${flags.toString(16)}) close the connection`,
    check: async (connect) => {
      const client = await connect();
      await client.greet(flags + 3);
      client.send(optionBytes(opt.list));
      await client.expectClosed();
    },
  })),
  ...[4, 99, 0xffffffff].map((type): Case => ({
    section: 'Fixed newstyle negotiation',
    level: 'MUST',
    title: `unknown option ${type} is ERR_UNSUP, and the next is answered`,
    check: duringNegotiation(async (client) => {
      for (const data of [noData, Buffer.alloc(1000, 1)]) {
        assert.deepEqual(
          (await client.option(type, data)).map((reply) => reply.type),
          [rep.errUnsup],
        );
      }
      assert.equal(await client.finalReply(opt.abort), rep.ack);
    }),
  })),
  {
    section: 'Newstyle negotiation',
    level: 'MUST',
    title: 'an option that arrives byte by byte is answered',
    check: duringNegotiation(async (client) => {
      for (const byte of optionBytes(99, Buffer.alloc(5))) client.send(Buffer.of(byte));
      assert.equal((await client.optionReplies(99)).at(-1)?.type, rep.errUnsup);
    }),
  },
  {
    section: 'NBD_OPT_ABORT',
    level: 'MUST',
    title: 'ABORT is acknowledged',
    check: duringNegotiation(async (client) =>
      assert.equal(await client.finalReply(opt.abort), rep.ack),
    ),
  },
  {
    section: 'NBD_OPT_ABORT',
    level: 'SHOULD',
    title: 'ABORT with data is acknowledged',
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.abort, Buffer.from('goodbye')), rep.ack);
    }),
  },
  {
    section: 'NBD_OPT_LIST',
    level: 'MUST',
    title: 'LIST names the export',
    check: duringNegotiation(async (client) => {
      const replies = await client.option(opt.list);
      assert.equal(replies.pop()?.type, rep.ack);
      const names = replies.map(({ type, data }) => {
        assert.equal(type, rep.server);
        const length = data.readUInt32BE(0);
        assert.ok(length <= data.length - 4, 'the name is within the data');
        return data.toString('utf8', 4, 4 + length);
      });
      assert.ok(names.includes(exportName), `the names are [${names.join(', ')}]`);
    }),
  },
  {
    section: 'NBD_OPT_LIST',
    level: 'SHOULD',
    title: 'LIST with data is ERR_INVALID',
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.list, Buffer.alloc(8)), rep.errInvalid);
    }),
  },
  {
    section: 'Newstyle negotiation',
    level: 'MUST',
    title: 'after LIST with data the next option is answered',
    check: duringNegotiation(async (client) => {
      await client.option(opt.list, Buffer.alloc(8));
      assert.equal(await client.finalReply(99), rep.errUnsup);
    }),
  },
  {
    section: 'NOTLS mode',
    level: 'MUST',
    title: 'STARTTLS without TLS is an error, and negotiation continues',
    check: duringNegotiation(async (client) => {
      const final = await client.finalReply(opt.startTls);
      assert.ok(Object.values<number>(errors).includes(final), `0x${final.toString(16)}`);
      assert.equal(await client.finalReply(99), rep.errUnsup);
    }),
  },
  {
    section: 'NBD_OPT_STRUCTURED_REPLY',
    level: 'SHOULD',
    title: 'STRUCTURED_REPLY with data is ERR_INVALID',
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.structuredReply, u32(1)), rep.errInvalid);
    }, 'structured'),
  },
  {
    section: 'Fixed newstyle negotiation',
    level: 'MUST',
    title: 'STRUCTURED_REPLY twice is acknowledged or ERR_INVALID',
    check: duringNegotiation(async (client) => {
      const final = await client.finalReply(opt.structuredReply);
      assert.ok(final === rep.ack || final === rep.errInvalid, `0x${final.toString(16)}`);
    }, 'structured'),
  },
];
