/**
 * The kernel's own client, in a virtual machine that .ci/kernel has made: a
 * file system on the disk, used, trimmed, checked, and looked at from outside.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { requiredFolder, needs, run, succeed } from '../support/peers.js';
import { serve } from '../support/program.js';
import { machineArguments, network } from './support/virtual-machine.js';

const diskBytes = 256 * 2 ** 20;

for (const connections of [1, 4]) {
  test(`ext4 on the kernel's client, over ${connections} connections`, async (t) => {
    if (!needs(t, 'qemu-system-x86_64', 'e2fsck', 'debugfs')) return;
    const system = requiredFolder(t, 'NBDCORK_KERNEL', '.ci/kernel FOLDER');
    if (system === undefined) return;
    const folder = await temporaryFolder(t);
    const disk = join(folder, 'disk.img');
    await writeFile(disk, '');
    await truncate(disk, diskBytes);
    const { uri } = await serve(t, ['--port', '0', `disk=${disk}`]);

    const output = await boot(t, system, [
      `nbd_port=${new URL(uri).port}`,
      `nbd_connections=${connections}`,
    ]);
    assert.match(output, /^guest: done\r?$/m, output);
    assert.match(
      output,
      new RegExp(`^guest: size ${diskBytes / 512} discard [1-9].* read-only 0`, 'm'),
    );
    const sums = [...output.matchAll(/^guest: (?:sum|again) ([0-9a-f]{64}) /gm)].map(
      ([, sum]) => sum,
    );
    assert.equal(sums.length, 6, output);
    assert.equal(new Set(sums).size, 1, output);

    await succeed(t, 'e2fsck', ['-fn', disk]);
    const copy = join(folder, 'copy');
    await succeed(t, 'debugfs', ['-R', `dump /copy-3 ${copy}`, disk]);
    assert.equal(
      createHash('sha256')
        .update(await readFile(copy))
        .digest('hex'),
      sums[0],
    );
  });
}

/** What the guest printed until it powered off. */
async function boot(t: TestContext, system: string, words: readonly string[]): Promise<string> {
  const { stdout } = await run(t, 'qemu-system-x86_64', [
    ...machineArguments(system, 'client', words),
    ...['-nic', network],
  ]);
  return stdout.toString();
}
