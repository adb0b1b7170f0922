/** examples/, which the README shows, run as they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openExport } from '../support/connecting.js';
import { cmd, err } from '../support/numbers.js';
import { needs, succeed } from '../support/peers.js';
import { RunningProgram } from '../support/program.js';

const keyValue = fileURLToPath(new URL('../../examples/key-value.js', import.meta.url));
const command = [process.execPath, keyValue] as const;
const env = { PORT: '0' };

test('key-value.ts keeps what is written to it', async (t) => {
  const example = new RunningProgram(t, [], { command, env });
  const [uri = ''] = await example.uris();
  const { client, size } = await openExport(t, uri);
  assert.equal(size, 2 ** 30);
  const payload = Buffer.alloc(8192, 'two blocks ');
  assert.equal((await client.call({ type: cmd.write, offset: 4096, payload })).error, 0);
  const { data } = await client.call({ type: cmd.read, length: 16_384 });
  assert.deepEqual(data, Buffer.concat([Buffer.alloc(4096), payload, Buffer.alloc(4096)]));
  const inside = { type: cmd.read, offset: 1, length: 4096 };
  assert.equal((await client.call(inside)).error, err.EINVAL);
  assert.deepEqual(await example.stop('SIGINT'), { status: 0, signal: null });
});

test('key-value.ts is a disk to QEMU', async (t) => {
  if (!needs(t, 'qemu-io')) return;
  const example = new RunningProgram(t, [], { command, env });
  const [uri = ''] = await example.uris();
  const lines = ['write -P 0x42 5000 100000', 'read -P 0x42 5000 100000', 'read -P 0 0 5000'];
  await succeed(t, 'qemu-io', ['-f', 'raw', uri, ...lines.flatMap((line) => ['-c', line])]);
  assert.deepEqual(await example.stop('SIGINT'), { status: 0, signal: null });
});
