/** QEMU's client reads back the patterns that it wrote; on a mismatch it ends with 1. */
import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, run, succeed } from '../support/peers.js';
import { serve } from '../support/program.js';

const commands = [
  'write -P 0xa5 4096 1M',
  'write -P 0x5a 1M 13k',
  'write -f -P 0x11 3M 512',
  'read -P 0xa5 4096 1020k',
  'read -P 0x5a 1M 13k',
  'read -P 0 1061888 512', // after the 13 KiB
  'read -P 0x11 3M 512',
  'read -P 0 0 4096',
  'write -z 8k 64k',
  'read -P 0 8k 64k',
  'read -P 0xa5 72k 64k',
  'write -z -u 200k 64k',
  'read -P 0 200k 64k',
  'discard 512k 128k',
  'aio_write -P 0x77 4M 256k',
  'aio_write -P 0x78 5M 256k',
  'aio_flush',
  'read -P 0x77 4M 256k',
  'read -P 0x78 5M 256k',
  'flush',
  'writev -P 0x21 6M 4k 8k 512',
  'readv -P 0x21 6M 512 12k',
  'aio_read -P 0x21 6M 12k 512',
  'aio_flush',
  'aio_write -z 6M 8k',
  'aio_flush',
  'read -P 0 6M 8k',
  'read -P 0x21 6299648 4608',
  'write -f -z -u 7M 4k',
  'length',
  'map',
  'alloc 0 8M',
];

function qemuIo(uri: string, lines: readonly string[]): string[] {
  return ['-f', 'raw', uri, ...lines.flatMap((line) => ['-c', line])];
}

async function emptyDisk(t: TestContext, kind: string): Promise<string> {
  if (kind === 'memory') return 'memory:8M';
  const disk = join(await temporaryFolder(t), 'disk.img');
  await writeFile(disk, '');
  await truncate(disk, 8 * 2 ** 20);
  return disk;
}

for (const kind of ['file', 'memory']) {
  test(`patterns in a ${kind}`, async (t) => {
    if (!needs(t, 'qemu-io')) return;
    const { uri } = await serve(t, ['--port', '0', await emptyDisk(t, kind)]);
    await succeed(t, 'qemu-io', qemuIo(uri, commands));
    const { status, stdout } = await run(t, 'qemu-io', qemuIo(uri, ['read -P 1 4096 512']));
    assert.equal(status, 1, 'a wrong pattern is noticed');
    assert.match(stdout.toString(), /Pattern verification failed/);
  });
}

test('zeroes that must be fast (FAST_ZERO)', async (t) => {
  if (!needs(t, 'qemu-io')) return;
  const { uri } = await serve(t, ['--port', '0', 'memory:8M']);
  const lines = ['write -P 0x31 7M 128k', 'write -z -n 7M 64k', 'read -P 0 7M 64k'];
  await succeed(t, 'qemu-io', qemuIo(uri, [...lines, 'read -P 0x31 7232k 64k']));
});

test('a read-only export is opened only with -r', async (t) => {
  if (!needs(t, 'qemu-io')) return;
  const { uri } = await serve(t, ['--port', '0', '--read-only', 'memory:1M']);
  await succeed(t, 'qemu-io', ['-r', ...qemuIo(uri, ['read -P 0 0 1M'])]);
  assert.equal((await run(t, 'qemu-io', qemuIo(uri, ['read 0 512']))).status, 1);
});
