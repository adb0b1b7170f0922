/** The extension EXTENDED_HEADERS, of servers that have it. */
import assert from 'node:assert/strict';
import { cmd, cmdFlag, err, opt, rep, u32 } from '../../support/numbers.js';
import { withEachHeaderKind, duringNegotiation, type Case } from '../case.js';
import type { Client } from '../client.js';
import { diskBytes, scratch } from '../disks.js';
import { stillAnswers } from './requests.js';

const extendedOnly = (check: (client: Client) => Promise<void>): Case['check'] =>
  withEachHeaderKind(check, ['extended']);

export const extended: readonly Case[] = [
  {
    section: 'NBD_OPT_EXTENDED_HEADERS',
    level: 'SHOULD',
    title: 'EXTENDED_HEADERS works with and without structured replies before it',
    check: duringNegotiation(async (client) => {
      client.headers = 'structured';
      assert.equal(await client.finalReply(opt.structuredReply), rep.errExtHeaderReqd);
      client.headers = 'extended';
      await client.describe(opt.go);
      await stillAnswers(client);
    }, 'extended'),
  },
  {
    section: 'NBD_OPT_EXTENDED_HEADERS',
    level: 'SHOULD',
    title: 'EXTENDED_HEADERS with data is ERR_INVALID',
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.extendedHeaders, u32(1)), rep.errInvalid);
    }, 'extended'),
  },
  {
    section: 'NBD_OPT_EXTENDED_HEADERS',
    level: 'MAY',
    title: 'EXTENDED_HEADERS that is repeated is ERR_INVALID',
    check: duringNegotiation(async (client) => {
      assert.equal(await client.finalReply(opt.extendedHeaders), rep.errInvalid);
      client.headers = 'extended';
      await client.describe(opt.go);
      await stillAnswers(client);
    }, 'extended'),
  },
  {
    section: 'Extended reply chunk message',
    level: 'MUST',
    title: 'every reply has the extended header, with the offset of the request',
    check: extendedOnly(async (client) => {
      const offset = 2n ** 64n - 512n;
      for (const type of [cmd.read, cmd.trim, cmd.flush, cmd.cache, 0x4142]) {
        const reply = await client.call({ type, offset, length: 512 });
        assert.notEqual(reply.chunks, undefined);
      }
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_CMD_FLAG_PAYLOAD_LEN',
    level: 'MUST',
    title: 'a payload where none belongs is consumed, and is EINVAL',
    check: extendedOnly(async (client) => {
      const payload = Buffer.alloc(4096, 0x25);
      for (const type of [cmd.read, cmd.writeZeroes, cmd.flush, 0x4142]) {
        const fields = { type, offset: scratch, payload, flags: cmdFlag.payloadLen };
        assert.equal((await client.call(fields)).error, err.EINVAL, `command ${type}`);
        await stillAnswers(client);
      }
    }),
  },
  {
    section: 'Request message',
    level: 'SHOULD',
    title: 'effect lengths have 64 bits: 2^32 + 512 bytes are past the end',
    check: extendedOnly(async (client) => {
      const length = 2 ** 32 + 512;
      assert.ok(length > diskBytes.writable);
      const zeroes = { type: cmd.writeZeroes, offset: scratch, length };
      assert.notEqual((await client.call(zeroes)).error, 0);
      const trim = { type: cmd.trim, offset: scratch, length };
      assert.notEqual((await client.call(trim)).error, 0);
      await stillAnswers(client);
    }),
  },
];
