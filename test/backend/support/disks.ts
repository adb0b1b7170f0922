/** Files, file systems and block devices for tests; all are gone after the test. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const cleanups = new WeakMap<TestContext, (() => Promise<unknown>)[]>();

/** The last first, unlike t.after: a device goes before the file that it is made of. */
function afterwards(t: TestContext, clean: () => Promise<unknown>): void {
  const known = cleanups.get(t);
  if (known !== undefined) {
    known.push(clean);
    return;
  }
  const stack = [clean];
  cleanups.set(t, stack);
  t.after(async () => {
    for (const next of stack.reverse()) await next();
  });
}

export async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-backend-'));
  afterwards(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The path of a new sparse file. */
export async function makeFile(t: TestContext, size: number): Promise<string> {
  const path = join(await makeFolder(t), 'disk.img');
  await makeFileAt(path, size);
  return path;
}

export async function makeFileAt(path: string, size: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, size);
}

/** The folder where a tmpfs of `size` bytes is mounted. */
export async function makeFileSystem(t: TestContext, size: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-tmpfs-'));
  await execute('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'nbdcork-test', folder]);
  afterwards(t, async () => {
    // Also where a test failed and left files open.
    await execute('umount', ['--lazy', folder]);
    await rm(folder, { recursive: true });
  });
  return folder;
}

/** The path of a block device that lies in the file at `path`. */
export async function makeBlockDevice(
  t: TestContext,
  path: string,
  blockBytes = 512,
): Promise<string> {
  const blocks = ['--sector-size', String(blockBytes)];
  const { stdout } = await execute('losetup', ['--find', '--show', ...blocks, path]);
  const device = stdout.trim();
  assert.match(device, /^\/dev\/loop\d+$/);
  afterwards(t, () => execute('losetup', ['--detach', device]));
  return device;
}

/** Why nothing can be mounted here, if so. */
export const mountSkip: string | undefined = skipUnless(
  'mount',
  // Mounts in a namespace of its own, so that nothing is left behind.
  ['unshare', '--mount', 'mount', '-t', 'tmpfs', 'nbdcork-test', tmpdir()],
);

/** Why no block device can be made here, if so. */
export const blockDeviceSkip: string | undefined =
  mountSkip ?? skipUnless('losetup', ['losetup', '--find']);

/**
 * A missing tool is a reason not to skip where NBDCORK_REQUIRE_PEERS=1 asks for
 * all tools; a missing permission is a property of the machine.
 */
function skipUnless(tool: string, [command = '', ...args]: readonly string[]): string | undefined {
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) {
    return process.env['NBDCORK_REQUIRE_PEERS'] === '1' ? undefined : `${tool} is missing here`;
  }
  return status === 0 ? undefined : `${tool} does not work here: ${stderr.trim()}`;
}
