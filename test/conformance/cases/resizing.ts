/** NBD_CMD_RESIZE: proto-resize.md. */
import assert from 'node:assert/strict';
import { cmd, err, transmission } from '../../support/numbers.js';
import { withEachHeaderKind, requireOffered, type Case } from '../case.js';
import type { Client } from '../client.js';
import { content, diskBytes } from '../disks.js';
import { stillAnswers } from './requests.js';

const size = diskBytes.resizable;
const grown = size + 2 ** 20;
const past = { type: cmd.read, offset: size, length: 4096 };

async function resize(client: Client, bytes: number): Promise<void> {
  const { error } = await client.call({ type: cmd.resize, offset: bytes });
  assert.equal(error, 0, `RESIZE to ${bytes}`);
}

export const resizing: readonly Case[] = [
  {
    section: 'NBD_CMD_RESIZE',
    level: 'SHOULD',
    title: 'RESIZE that is not offered is EINVAL, or EPERM where it was not allowed',
    check: withEachHeaderKind(async (client, flags) => {
      assert.equal(flags & transmission.sendResize, 0, 'SEND_RESIZE');
      const { error } = await client.call({ type: cmd.resize, offset: 4096 });
      assert.ok(error === err.EINVAL || error === err.EPERM, `error ${error}`);
      await stillAnswers(client);
    }),
  },
  {
    section: 'NBD_CMD_RESIZE',
    level: 'MUST',
    title: 'after RESIZE that grows the disk the new bytes can be read, and are zero',
    disk: 'resizable',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendResize, 'SEND_RESIZE');
      await resize(client, grown);
      const { error, data } = await client.call(past);
      assert.equal(error, 0);
      assert.ok(data.equals(Buffer.alloc(4096)), 'the new bytes are zero');
      await stillAnswers(client);
      await resize(client, size);
    }),
  },
  {
    section: 'NBD_CMD_RESIZE',
    level: 'MUST',
    title:
      'after RESIZE that shrinks the disk READ past its end is ENOSPC, and the rest is unchanged',
    disk: 'resizable',
    check: withEachHeaderKind(async (client, flags) => {
      requireOffered(flags, transmission.sendResize, 'SEND_RESIZE');
      await resize(client, grown);
      await resize(client, size);
      assert.equal((await client.call(past)).error, err.ENOSPC);
      const { error, data } = await client.call({ type: cmd.read, length: content.length });
      assert.equal(error, 0);
      assert.ok(data.equals(content), 'the previous content');
    }),
  },
];
