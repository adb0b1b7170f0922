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
    assert.match(shown, /block_size_maximum: 67108864/);
  });

  test('lists all exports', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'a=memory:1M', 'b=memory:2M']);
    const shown = await succeed(t, 'nbdinfo', ['--list', uri]);
    assert.match(shown, /export="a"[^]*export-size: 1048576 /);
    assert.match(shown, /export="b"[^]*export-size: 2097152 /);
  });

  for (const count of [515, 2000]) {
    test(`lists ${count} exports`, async (t) => {
      if (!needs(t, 'nbdinfo')) return;
      const sources = Array.from({ length: count }, (_, index) => `disk-${index}=memory:1M`);
      const path = join(await temporaryFolder(t), 'nbd.sock');
      const { uri } = await serve(t, ['--unix', path, ...sources]);
      const shown = await succeed(t, 'nbdinfo', ['--list', uri]);
      assert.equal(shown.match(/^export=/gm)?.length, count);
    });
  }

  test('lists exports for longer than --handshake-timeout', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const sources = Array.from({ length: 8 }, (_, index) => `disk-${index}=memory:1M`);
    // Over TCP, nbdinfo needs 200 ms for each.
    const { uri } = await serve(t, ['--port', '0', '--handshake-timeout', '500ms', ...sources]);
    const shown = await succeed(t, 'nbdinfo', ['--list', uri]);
    assert.equal(shown.match(/^export=/gm)?.length, 8);
  });

  test('shows that an export is read-only', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', '--read-only', await randomDisk(t)]);
    await succeed(t, 'nbdinfo', ['--is', 'read-only', uri]);
    assert.equal((await run(t, 'nbdinfo', ['--can', 'write', uri])).status, 2);
  });

  test('shows all properties of an export as JSON', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', '--description', 'a=the first', 'a=memory:1M']);
    const shown = JSON.parse(await succeed(t, 'nbdinfo', ['--json', uri])) as {
      readonly exports: readonly Readonly<Record<string, unknown>>[];
    };
    assert.equal(shown.exports.length, 1);
    const expected = {
      'export-name': 'a',
      description: 'the first',
      'export-size': 2 ** 20,
      contexts: ['base:allocation'],
      is_read_only: false,
      is_rotational: false,
      can_df: true,
      can_fast_zero: true,
      block_size_minimum: 1,
      block_size_preferred: 4096,
      block_size_maximum: 2 ** 26,
    };
    for (const [key, value] of Object.entries(expected)) {
      assert.deepEqual(shown.exports[0]?.[key], value, key);
    }
  });

  test('shows what an export supports', async (t) => {
    if (!needs(t, 'nbdinfo')) return;
    const { uri } = await serve(t, ['--port', '0', 'memory:1M']);
    const readOnly = await serve(t, ['--port', '0', '--read-only', 'memory:1M']);
    const always = ['cache', 'df', 'multi-conn', 'read', 'structured reply'];
    const writing = ['fast-zero', 'flush', 'fua', 'trim', 'write', 'zero'];
    for (const ability of [...always, ...writing]) {
      await succeed(t, 'nbdinfo', ['--can', ability, uri]);
      const { status } = await run(t, 'nbdinfo', ['--can', ability, readOnly.uri]);
      assert.equal(status, writing.includes(ability) ? 2 : 0, ability);
    }
    for (const what of ['rotational', 'tls', 'read-only']) {
      assert.equal((await run(t, 'nbdinfo', ['--is', what, uri])).status, 2, what);
    }
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

test('nbdsh runs its statements', async (t) => {
  const python = pythonWithNbd(t);
  if (python === undefined) return;
  const { uri } = await serve(t, ['--port', '0', 'memory:1M']);
  const statements = [
    'h.pwrite(b"x" * 1000, 5000, nbd.CMD_FLAG_FUA)',
    'h.zero(500, 5000, nbd.CMD_FLAG_NO_HOLE)',
    'h.flush()',
    'print(h.pread(1002, 4999) == bytes(501) + b"x" * 500 + bytes(1))',
  ];
  // What the script nbdsh does, with a Python that has the module.
  const args = ['-m', 'nbd', '-u', uri, ...statements.flatMap((statement) => ['-c', statement])];
  assert.equal(await succeed(t, python, args), 'True\n');
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
