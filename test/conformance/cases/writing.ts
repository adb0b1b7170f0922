/** Commands that change the disk, and the disks that they must not change. */
import assert from 'node:assert/strict';
import { cmd, cmdFlag, err, transmission } from '../../support/numbers.js';
import { withEachHeaderKind, requireOffered, type Case } from '../case.js';
import type { Client } from '../client.js';
import { diskBytes, scratch } from '../disks.js';
import { stillAnswers } from './requests.js';

const size = diskBytes.writable;

/** Flags of a WRITE, which has one more with extended headers. */
function writeFlags(client: Client, flags = 0): number {
  return client.headers === 'extended' ? flags | cmdFlag.payloadLen : flags;
}

async function read(client: Client, offset: number, length: number): Promise<Buffer> {
  const { error, data } = await client.call({ type: cmd.read, offset, length });
  assert.equal(error, 0);
  return data;
}

async function write(client: Client, offset: number, payload: Buffer): Promise<void> {
  assert.equal((await client.call({ type: cmd.write, offset, payload })).error, 0);
}

const writes: readonly Case[] = [
  {
    section: 'NBD_CMD_WRITE',
    level: 'MUST',
    title: 'WRITE changes its range, which other clients see, and no other',
    check: async (connect) => {
      const reader = await connect();
      await reader.open();
      await withEachHeaderKind(async (client) => {
        const around = Buffer.alloc(40_000, 'around');
        await write(client, scratch, around);
        const payload = Buffer.alloc(10_240, client.headers);
        await write(client, scratch + 512, payload);
        payload.copy(around, 512);
        assert.ok((await read(client, scratch, 40_000)).equals(around), 'read back');
        assert.ok((await read(reader, scratch, 40_000)).equals(around), 'by another client');
      })(connect);
    },
  },
  {
    section: 'NBD_CMD_FLAG_FUA',
    level: 'MUST',
    title: 'WRITE with FUA is accepted where it is offered',
    check: withEachHeaderKind(async (client, transmissionFlags) => {
      requireOffered(transmissionFlags, transmission.sendFua, 'SEND_FUA');
      const flags = writeFlags(client, cmdFlag.fua);
      const fields = { type: cmd.write, offset: scratch, payload: Buffer.alloc(512, 'fua'), flags };
      assert.equal((await client.call(fields)).error, 0);
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_CMD_WRITE',
    level: 'SHOULD',
    title: 'WRITE of no bytes does not disconnect',
    check: withEachHeaderKind(
      async (client) => {
        await client.call({ type: cmd.write, offset: scratch, length: 0 });
        await stillAnswers(client);
      },
      ['simple', 'structured'],
    ),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'WRITE past the end is ENOSPC, and its payload is not taken for a request',
    check: withEachHeaderKind(async (client) => {
      const payload = Buffer.alloc(65_536, 1);
      for (const offset of [size - 512, size, size + 65_536]) {
        const reply = await client.call({ type: cmd.write, offset, payload });
        assert.equal(reply.error, err.ENOSPC, `at ${offset}`);
      }
      await stillAnswers(client);
      assert.ok((await read(client, size - 512, 512)).every((byte) => byte === 0));
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'WRITE with an unknown flag is EINVAL, and its payload is not taken for a request',
    check: withEachHeaderKind(async (client) => {
      const flags = writeFlags(client, 0x4000);
      const fields = { type: cmd.write, offset: scratch, payload: Buffer.alloc(512, 2), flags };
      assert.equal((await client.call(fields)).error, err.EINVAL);
      await stillAnswers(client);
    }),
  },
  {
    section: 'Size constraints',
    level: 'SHOULD',
    title: 'WRITE of 32 MiB is accepted',
    check: withEachHeaderKind(async (client) => {
      const payload = Buffer.alloc(2 ** 25);
      await write(client, scratch, payload);
      await stillAnswers(client);
    }),
  },
];

const effects: readonly Case[] = [
  {
    section: 'NBD_CMD_WRITE_ZEROES',
    level: 'MUST',
    title: 'WRITE_ZEROES zeroes its range, with and without NO_HOLE',
    check: withEachHeaderKind(async (client, transmissionFlags) => {
      requireOffered(transmissionFlags, transmission.sendWriteZeroes, 'SEND_WRITE_ZEROES');
      for (const flags of [0, cmdFlag.noHole]) {
        const around = Buffer.alloc(200_000, 'around');
        await write(client, scratch, around);
        const fields = { type: cmd.writeZeroes, offset: scratch + 777, length: 150_000, flags };
        assert.equal((await client.call(fields)).error, 0);
        around.fill(0, 777, 150_777);
        assert.ok((await read(client, scratch, around.length)).equals(around));
      }
    }),
  },
  {
    section: 'NBD_CMD_WRITE_ZEROES',
    level: 'SHOULD',
    title: 'FAST_ZERO zeroes, or is ENOTSUP and changes nothing; EINVAL where it is not offered',
    check: withEachHeaderKind(async (client, transmissionFlags) => {
      const before = Buffer.alloc(65_536, 'before');
      await write(client, scratch, before);
      const flags = cmdFlag.fastZero;
      const fields = { type: cmd.writeZeroes, offset: scratch, length: before.length, flags };
      const { error } = await client.call(fields);
      const isOffered = (transmissionFlags & transmission.sendFastZero) !== 0;
      const right = isOffered ? [0, err.ENOTSUP] : [err.EINVAL];
      assert.ok(right.includes(error), `${isOffered ? '' : 'not '}offered: error ${error}`);
      const expected = error === 0 ? Buffer.alloc(before.length) : before;
      assert.ok((await read(client, scratch, before.length)).equals(expected));
    }),
  },
  {
    section: 'NBD_CMD_WRITE_ZEROES',
    level: 'SHOULD',
    title: 'WRITE_ZEROES past the end is ENOSPC',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendWriteZeroes, 'SEND_WRITE_ZEROES');
      const fields = { type: cmd.writeZeroes, offset: size - 512, length: 1024 };
      assert.equal((await client.call(fields)).error, err.ENOSPC);
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_CMD_TRIM',
    level: 'MUST',
    title: 'TRIM succeeds where it is offered, and does not change other data',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendTrim, 'SEND_TRIM');
      const around = Buffer.alloc(300_000, 'around');
      await write(client, scratch, around);
      const fields = { type: cmd.trim, offset: scratch + 65_536, length: 131_072 };
      assert.equal((await client.call(fields)).error, 0);
      const after = await read(client, scratch, around.length);
      assert.ok(after.subarray(0, 65_536).equals(around.subarray(0, 65_536)), 'before it');
      assert.ok(after.subarray(196_608).equals(around.subarray(196_608)), 'after it');
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'TRIM past the end is EINVAL',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendTrim, 'SEND_TRIM');
      const fields = { type: cmd.trim, offset: size - 512, length: 1024 };
      assert.equal((await client.call(fields)).error, err.EINVAL);
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'NO_HOLE on TRIM is EINVAL',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendTrim, 'SEND_TRIM');
      const fields = { type: cmd.trim, offset: scratch, length: 512, flags: cmdFlag.noHole };
      assert.equal((await client.call(fields)).error, err.EINVAL);
    }),
  },
];

const readOnly: readonly Case[] = [
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'WRITE to a read-only export is EPERM, and its payload is not taken for a request',
    disk: 'readOnly',
    check: withEachHeaderKind(async (client) => {
      const payload = Buffer.alloc(65_536, 1);
      assert.equal(
        (await client.call({ type: cmd.write, offset: 8192, payload })).error,
        err.EPERM,
      );
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_FLAG_READ_ONLY',
    level: 'MUST',
    title: 'TRIM and WRITE_ZEROES of a read-only export fail',
    disk: 'readOnly',
    check: withEachHeaderKind(async (client) => {
      for (const type of [cmd.trim, cmd.writeZeroes]) {
        assert.notEqual((await client.call({ type, offset: 8192, length: 4096 })).error, 0);
      }
      await stillAnswers(client);
    }),
  },
  {
    section: 'Error values',
    level: 'SHOULD',
    title: 'TRIM and WRITE_ZEROES of a read-only export are EPERM',
    disk: 'readOnly',
    check: withEachHeaderKind(async (client) => {
      for (const type of [cmd.trim, cmd.writeZeroes]) {
        assert.equal((await client.call({ type, offset: 8192, length: 4096 })).error, err.EPERM);
      }
    }),
  },
];

export const writing: readonly Case[] = [...writes, ...effects, ...readOnly];
