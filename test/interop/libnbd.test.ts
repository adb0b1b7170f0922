/** libnbd: nbdinfo, and every command through its Python module, which nbdsh is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, pythonWithNbd, run, succeed } from '../support/peers.js';
import { programPath, serve } from '../support/program.js';
import { commands, everything, program } from './support/libnbd.js';
import { betweenPipes, listenBeforePipes } from './support/pipes.js';

const diskBytes = 3 * 2 ** 20;

async function randomDisk(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  await writeFile(path, randomBytes(diskBytes));
  return path;
}

describe('nbdinfo', () => {
  test('shows an export', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'name=memory:64M']);
    const shown = await succeed(t, 'nbdinfo', [uri]);
    assert.match(shown, /protocol: newstyle-fixed/);
    assert.match(shown, /export="name"/);
    assert.match(shown, /export-size: 67108864 \(64M\)/);
    assert.match(shown, /is_read_only: false/);
    for (const ability of ['cache', 'flush', 'fua', 'multi_conn', 'trim', 'zero']) {
      assert.match(shown, new RegExp(`can_${ability}: true`));
    }
    assert.match(shown, /block_size_maximum: 33554432/);
  });

  test('lists all exports, with their descriptions', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'a=memory:1M', 'b=memory:2M']);
    const shown = await succeed(t, 'nbdinfo', ['--list', uri]);
    assert.match(shown, /export="a"[^]*description: memory:1M[^]*export-size: 1048576 /);
    assert.match(shown, /export="b"[^]*description: memory:2M[^]*export-size: 2097152 /);
  });

  test('is told that a read-only export is so', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', '--read-only', await randomDisk(t)]);
    await succeed(t, 'nbdinfo', ['--is', 'read-only', uri]);
    assert.equal((await run(t, 'nbdinfo', ['--can', 'write', uri])).status, 2);
  });

  // libnbd passes a listening socket, as systemd does.
  for (const stdio of [['--stdio'], []]) {
    test(`starts the server: nbdinfo -- [ ${['serve', ...stdio].join(' ')} ]`, async (t) => {
      if (!needs(t, 'nbdinfo')) return;
      const command = [process.execPath, programPath, 'serve', ...stdio, await randomDisk(t)];
      const size = await succeed(t, 'nbdinfo', ['--size', '--', '[', ...command, ']']);
      assert.equal(size, `${diskBytes}\n`, 'and nothing else is printed');
    });
  }

  test('over plain pipes', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const uri = await listenBeforePipes(t, await randomDisk(t));
    assert.equal(await succeed(t, 'nbdinfo', ['--size', uri]), `${diskBytes}\n`);
  });
});

/** Run Python code on a copy of the disk, and compare the served one afterwards. */
async function check(t: TestContext, code: string, disk: string, how: string[]): Promise<void> {
  const python = pythonWithNbd(t);
  if (python === undefined) return;
  const copy = `${disk}.copy`;
  await writeFile(copy, await readFile(disk));
  const [kind = '', ...where] = how;
  await succeed(t, python, ['-c', program(code), kind, copy, ...where]);
  assert.ok((await readFile(disk)).equals(await readFile(`${copy}.after`)), 'the file differs');
}

describe("libnbd's commands over TCP", () => {
  for (const [name, code] of commands) {
    test(name, async (t) => {
      const disk = await randomDisk(t);
      const { uri } = await serve(t, ['--port', '0', disk]);
      await check(t, code, disk, ['uri', uri]);
    });
  }
});

describe("all of libnbd's commands", () => {
  test('over a Unix socket', async (t) => {
    const disk = await randomDisk(t);
    const { uri } = await serve(t, ['--unix', join(await temporaryFolder(t), 'nbd.sock'), disk]);
    await check(t, everything, disk, ['uri', uri]);
  });

  test('over the socket pair that libnbd gives the server it starts', async (t) => {
    const disk = await randomDisk(t);
    const command = [process.execPath, programPath, 'serve', '--stdio', disk];
    await check(t, everything, disk, ['command', ...command]);
  });

  test('over plain pipes', async (t) => {
    const disk = await randomDisk(t);
    await check(t, everything, disk, ['command', ...betweenPipes(disk)]);
  });
});
