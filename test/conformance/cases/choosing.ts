/** NBD_OPT_EXPORT_NAME, NBD_OPT_INFO and NBD_OPT_GO. */
import assert from 'node:assert/strict';
import { goData, optionBytes } from '../../support/byte-client.js';
import { cmd, info, opt, rep, transmission, u16, u32 } from '../../support/numbers.js';
import { withEachHeaderKind, duringNegotiation, type Case } from '../case.js';
import { exportName, NotOffered, type Client } from '../client.js';
import { content, diskBytes } from '../disks.js';

const name = Buffer.from(exportName);

async function readsTheBeginning(client: Client): Promise<void> {
  const { data } = await client.call({ type: cmd.read, offset: 4, length: 512 });
  assert.ok(data.equals(content.subarray(4, 516)), 'the data are those of the disk');
}

const malformed: Readonly<Record<string, Buffer>> = {
  'no data': Buffer.alloc(0),
  'a name that is longer than the data': Buffer.concat([u32(1000), name, u16(0)]),
  'a name of 2^32 - 1 bytes': Buffer.concat([u32(0xffffffff), name, u16(0)]),
  'fewer requests than announced': Buffer.concat([u32(name.length), name, u16(3), u16(1)]),
};

export const choosing: readonly Case[] = [
  ...[1, 3].map((flags): Case => ({
    section: 'NBD_OPT_EXPORT_NAME',
    level: 'MUST',
    title: `EXPORT_NAME ${flags === 3 ? 'with NO_ZEROES: 10' : 'without NO_ZEROES: 134'} bytes`,
    check: async (connect) => {
      const client = await connect();
      await client.greet(flags);
      client.send(optionBytes(opt.exportName, name));
      const reply = await client.take(flags === 3 ? 10 : 134);
      assert.equal(reply.readBigUInt64BE(0), BigInt(diskBytes.writable));
      assert.equal(reply.readUInt16BE(8) & transmission.hasFlags, transmission.hasFlags);
      assert.ok(reply.subarray(10).every((byte) => byte === 0));
      await readsTheBeginning(client);
    },
  })),
  {
    section: 'NBD_OPT_EXPORT_NAME',
    level: 'MUST',
    title: 'EXPORT_NAME of an unknown export closes the connection',
    check: duringNegotiation(async (client) => {
      client.send(optionBytes(opt.exportName, Buffer.from('nowhere')));
      await client.expectClosed();
    }),
  },
  {
    section: 'NBD_OPT_INFO and NBD_OPT_GO',
    level: 'MUST',
    title: 'GO returns the size, and no zeroes follow its ACK',
    check: async (connect) => {
      const client = await connect();
      await client.greet(1);
      assert.equal((await client.describe(opt.go)).size, BigInt(diskBytes.writable));
      await readsTheBeginning(client);
    },
  },
  {
    section: 'NBD_OPT_INFO and NBD_OPT_GO',
    level: 'MUST',
    title: 'INFO returns what GO returns',
    check: duringNegotiation(async (client) => {
      const first = await client.describe(opt.info, [info.blockSize]);
      assert.deepEqual(await client.describe(opt.go, [info.blockSize]), first);
    }),
  },
  {
    section: 'NBD_REP_ERR_UNKNOWN',
    level: 'MUST',
    title: 'INFO and GO of an unknown export are ERR_UNKNOWN, and negotiation continues',
    check: duringNegotiation(async (client) => {
      for (const option of [opt.info, opt.go]) {
        const types = (await client.option(option, goData('nowhere'))).map(({ type }) => type);
        assert.deepEqual(types, [rep.errUnknown]);
      }
      await client.describe(opt.go);
    }),
  },
  ...Object.entries(malformed).map(([what, data]): Case => ({
    section: 'NBD_REP_ERR_INVALID',
    level: 'MUST',
    title: `INFO and GO with ${what} are ERR_INVALID, or end the connection`,
    check: duringNegotiation(async (client) => {
      for (const option of [opt.info, opt.go]) {
        const final = await client.finalReplyOrClosed(option, data);
        if (final === 'closed') return;
        assert.equal(final, rep.errInvalid);
      }
      await client.describe(opt.go);
    }),
  })),
  {
    section: 'Conventions',
    level: 'MUST',
    title: 'a name of 4,097 bytes is refused, or ends the connection',
    check: duringNegotiation(async (client) => {
      const final = await client.finalReplyOrClosed(opt.go, goData('x'.repeat(4097)));
      assert.ok(final === 'closed' || final >= 0x80000000);
    }),
  },
  {
    section: 'NBD_OPT_INFO and NBD_OPT_GO',
    level: 'MUST',
    title: 'unknown information requests are ignored',
    check: duringNegotiation(async (client) => {
      await client.describe(opt.go, [0x7ffe, info.name, 99]);
    }),
  },
  {
    section: 'NBD_INFO_EXPORT',
    level: 'MUST',
    title: 'a disk of 1,000 bytes has 1,000 bytes',
    disk: 'odd',
    check: duringNegotiation(async (client) => {
      assert.equal((await client.describe(opt.go)).size, 1000n);
      const { data } = await client.call({ type: cmd.read, offset: 999, length: 1 });
      assert.deepEqual(data, content.subarray(999, 1000));
    }),
  },
  {
    section: 'Size constraints',
    level: 'MUST',
    title: 'block sizes are powers of 2 in their order, and the maximum is large enough',
    check: duringNegotiation(async (client) => {
      const { blockSize } = await client.describe(opt.go, [info.blockSize]);
      if (blockSize === undefined) throw new NotOffered('no block sizes');
      const { minimum, preferred, maximum } = blockSize;
      const isPowerOf2 = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;
      assert.ok(isPowerOf2(minimum) && minimum <= 65_536, `minimum ${minimum}`);
      assert.ok(isPowerOf2(preferred) && preferred >= Math.max(minimum, 512), `${preferred}`);
      assert.ok(maximum >= Math.max(preferred, 2 ** 20), `maximum ${maximum}`);
    }),
  },
  {
    section: 'Transmission flags',
    level: 'MUST',
    title: 'HAS_FLAGS is set, DF with chunks only, FAST_ZERO with WRITE_ZEROES only',
    check: withEachHeaderKind(async (client, flags) => {
      const has = (flag: number): boolean => (flags & flag) !== 0;
      assert.ok(has(transmission.hasFlags), 'HAS_FLAGS');
      assert.ok(client.headers !== 'simple' || !has(transmission.sendDf), 'SEND_DF');
      const fastZeroIsRight = has(transmission.sendWriteZeroes) || !has(transmission.sendFastZero);
      assert.ok(fastZeroIsRight, 'SEND_FAST_ZERO');
      const isExtended = client.headers === 'extended';
      assert.ok(isExtended || !has(transmission.blockStatusPayload), 'BLOCK_STATUS_PAYLOAD');
      await readsTheBeginning(client);
    }),
  },
];
