import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connectTo, openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { RunningProgram } from '../support/program.js';

const clean = { status: 0, signal: null };

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
  ['SIGQUIT', 3],
] as const) {
  describe(signal, () => {
    test('ends with 0 and leaves no socket file', async (t) => {
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const server = new RunningProgram(t, ['serve', '--unix', path, 'memory:1M']);
      await server.uris();
      assert.ok(existsSync(path));
      assert.deepEqual(await server.stop(signal), clean);
      assert.ok(!existsSync(path));
      assert.match(server.stderr.text, new RegExp(`stopping.*${signal}`));
    });

    test('ends with 0 past clients that are idle or in the middle of the handshake', async (t) => {
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const server = new RunningProgram(t, ['serve', '--unix', path, 'memory:1M']);
      const [uri = ''] = await server.uris();
      const silent = await connectTo(t, uri);
      await silent.take(18);
      const { client: idle } = await openExport(t, uri);
      assert.equal((await idle.call({ type: cmd.read, length: 512 })).error, 0);
      assert.deepEqual(await server.stop(signal), clean);
      for (const client of [idle, silent]) assert.equal((await client.closed).length, 0);
      assert.ok(!existsSync(path));
    });

    test('a second one does not wait for a client that reads nothing', async (t) => {
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const server = new RunningProgram(t, ['serve', '--unix', path, 'memory:64M']);
      const [uri = ''] = await server.uris();
      const { client } = await openExport(t, uri);
      // More than sockets hold, and only the beginning of the reply is read.
      client.request({ type: cmd.read, length: 32 * 2 ** 20 });
      await once(client.stream, 'data');
      client.stream.pause();
      server.signal(signal);
      await server.stderr.match(/stopping/);
      assert.deepEqual(await server.stop(signal), { status: 128 + number, signal: null });
      assert.ok(!existsSync(path));
    });
  });
}

test('requests in progress are answered before the end', async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const server = new RunningProgram(t, ['serve', '--unix', path, 'memory:64M']);
  const [uri = ''] = await server.uris();
  const { client } = await openExport(t, uri);
  const length = 16 * 2 ** 20;
  client.request({ type: cmd.read, length });
  await once(client.stream, 'data');
  client.stream.pause();
  server.signal('SIGTERM');
  await server.stderr.match(/stopping/);
  client.stream.resume();
  const { error, data } = await client.reply();
  assert.equal(error, 0);
  assert.ok(data.equals(Buffer.alloc(length)));
  assert.equal((await client.closed).length, 0);
  assert.deepEqual(await server.exited, clean);
});
