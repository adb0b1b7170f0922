/** Images that several programs open, one of them QEMU's. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { openFile, openFileWith } from '../../../lib/backend/file/open-file.js';
import { addon } from '../../../lib/native/load.js';
import { needs, run, succeed } from '../../support/peers.js';
import { Output } from '../../support/program.js';
import { requireWritable } from '../support/bytes.js';
import { blockDeviceSkip, makeBlockDevice, makeFile } from '../support/disks.js';

const mebibyte = 2 ** 20;
const usesAddon = { skip: addon === undefined && 'needs the addon' };
const locked = (message: RegExp) => ({ name: 'NbdError', code: 'NBDCORK_LOCKED', message });

/** A Python program that holds locks on bytes of a file until the test ends. */
async function lockBytes(t: TestContext, path: string, type: string, ...bytes: readonly number[]) {
  const script = [
    'import fcntl, struct, sys',
    'file = open(sys.argv[1], "r+b")',
    'for byte in map(int, sys.argv[2:]):',
    `    lock = struct.pack("hhqqi4x", fcntl.${type}, 0, byte, 1, 0)`,
    '    fcntl.fcntl(file, 37, lock)', // F_OFD_SETLK
    'print("locked", flush=True)',
    'sys.stdin.read()',
  ].join('\n');
  const child = spawn('python3', ['-c', script, path, ...bytes.map(String)]);
  t.after(async () => {
    child.stdin.end();
    await once(child, 'exit');
  });
  await new Output(child.stdout).match(/locked/);
}

/** qemu-io with the image open until the test ends it. */
async function openInQemu(t: TestContext, ...args: readonly string[]) {
  const child = spawn('qemu-io', ['-f', 'raw', ...args]);
  const exited = once(child, 'exit');
  t.after(() => child.kill());
  child.stdin.write('length\n');
  await new Output(child.stdout).match(/MiB/);
  return {
    close: async () => {
      child.stdin.end();
      await exited;
    },
  };
}

describe('an image that is open for writing', usesAddon, () => {
  test('is not opened for writing again, until it is closed', async (t) => {
    const path = await makeFile(t, mebibyte);
    const disk = await openFile(path);
    await assert.rejects(
      openFile(path),
      locked(
        /disk\.img" is in use: another program has it open for writing\..*read-only.*--no-lock/,
      ),
    );
    await disk.close();
    await (await openFile(path)).close();
  });

  test('is opened by one of several that try together', async (t) => {
    const path = await makeFile(t, mebibyte);
    for (let round = 0; round < 20; round++) {
      const tries = await Promise.allSettled([openFile(path), openFile(path)]);
      const opened = tries.filter((one) => one.status === 'fulfilled');
      assert.equal(opened.length, 1);
      await opened[0]?.value.close();
    }
  });

  test('can be opened for reading', async (t) => {
    const path = await makeFile(t, mebibyte);
    const reader = await openFile(path, { readOnly: true });
    const disk = await openFile(path);
    const second = await openFile(path, { readOnly: true });
    for (const one of [reader, disk, second]) await one.close();
  });

  test('is opened for writing without a lock where the caller wants that', async (t) => {
    const path = await makeFile(t, mebibyte);
    const disk = await openFile(path);
    await (await openFile(path, { lock: false })).close();
    await disk.close();
    const unlocked = await openFile(path, { lock: false });
    await (await openFile(path)).close();
    await unlocked.close();
  });

  test('may be a block device', { skip: blockDeviceSkip }, async (t) => {
    const device = await makeBlockDevice(t, await makeFile(t, mebibyte));
    const disk = await openFile(device);
    await assert.rejects(openFile(device), locked(/open for writing/));
    await disk.close();
    await (await openFile(device)).close();
  });

  test('is opened without the addon', async (t) => {
    const path = await makeFile(t, mebibyte);
    const disk = await openFile(path);
    await (await openFileWith(path, {}, {})).close();
    await disk.close();
  });
});

describe('an image that another program has locked', usesAddon, () => {
  test('so that nobody writes is opened for reading only', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = await makeFile(t, mebibyte);
    await lockBytes(t, path, 'F_RDLCK', 100, 201);
    await assert.rejects(openFile(path), locked(/does not allow others to write to it/));
    await (await openFile(path, { readOnly: true })).close();
  });

  test('so that nobody reads is not opened', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = await makeFile(t, mebibyte);
    await lockBytes(t, path, 'F_RDLCK', 200);
    for (const readOnly of [true, false]) {
      await assert.rejects(
        openFile(path, { readOnly }),
        locked(/does not allow others to read it/),
      );
    }
  });

  test('exclusively is not opened', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = await makeFile(t, mebibyte);
    await lockBytes(t, path, 'F_WRLCK', 100);
    await assert.rejects(openFile(path), locked(/exclusive lock/));
  });

  test('so that nobody resizes is not resized, and is then left to others', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = await makeFile(t, mebibyte);
    const disk = requireWritable(await openFile(path));
    await lockBytes(t, path, 'F_RDLCK', 203);
    await assert.rejects(async () => disk.resize?.(2 * mebibyte), {
      name: 'NbdError',
      code: 'EPERM',
      message: /another program does not allow others to resize it/,
    });
    assert.equal(disk.size, mebibyte);
    await lockBytes(t, path, 'F_WRLCK', 103);
    await disk.close?.();
  });
});

describe('an image that QEMU uses', usesAddon, () => {
  test('for writing is not opened for writing', async (t) => {
    if (!needs(t, 'qemu-io')) return;
    const path = await makeFile(t, mebibyte);
    const qemu = await openInQemu(t, path);
    await assert.rejects(openFile(path), locked(/has it open for writing/));
    await (await openFile(path, { readOnly: true })).close();
    await qemu.close();
    await (await openFile(path)).close();
  });

  test('for reading is opened for writing', async (t) => {
    if (!needs(t, 'qemu-io')) return;
    const path = await makeFile(t, mebibyte);
    const qemu = await openInQemu(t, '-r', path);
    await (await openFile(path)).close();
    await qemu.close();
  });

  test('is refused to its writers, and to qemu-img convert, while this is a writer', async (t) => {
    if (!needs(t, 'qemu-io', 'qemu-img', 'qemu-nbd')) return;
    const path = await makeFile(t, mebibyte);
    const copy = await makeFile(t, 0);
    const convert = ['convert', '-f', 'raw', '-O', 'raw', path, copy];
    const disk = await openFile(path);
    for (const [tool, args, message] of [
      ['qemu-io', ['-f', 'raw', '-c', 'write 0 512', path], /Failed to get "write" lock/],
      ['qemu-nbd', ['-f', 'raw', '--socket', `${copy}.sock`, path], /Failed to get "write" lock/],
      ['qemu-img', convert, /Failed to get shared "write" lock/],
    ] as const) {
      const { status, stdout, stderr } = await run(t, tool, args);
      assert.equal(status, 1, tool);
      assert.match(stdout.toString() + stderr, message);
    }
    await succeed(t, 'qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 512', path]);
    await succeed(t, 'qemu-img', ['info', path]);
    await disk.close();
    await succeed(t, 'qemu-io', ['-f', 'raw', '-c', 'write 0 512', path]);
    const reader = await openFile(path, { readOnly: true });
    await succeed(t, 'qemu-img', convert);
    await succeed(t, 'qemu-io', ['-f', 'raw', '-c', 'write 0 512', path]);
    await reader.close();
  });
});
