/** --threads */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  makeBlockDevice,
  makeFileAt,
  makeFileSystem,
  blockDeviceSkip,
} from '../backend/support/disks.js';
import { withoutAddon } from '../native/support/native.js';
import { openExport } from '../support/connecting.js';
import { pattern } from '../support/disks.js';
import { canMakeFaultyFiles, hangingFile } from '../support/faulty-file.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { RunningProgram, runProgram, serve } from '../support/program.js';

const threads = ['--threads', '2'] as const;

describe('a server with two threads', { skip: withoutAddon }, () => {
  test('has one memory disk', async (t) => {
    const { uri } = await serve(t, [...threads, '--port', '0', 'memory:1M']);
    const [first, second] = [(await openExport(t, uri)).client, (await openExport(t, uri)).client];
    const payload = pattern(4096);
    assert.equal((await first.call({ type: cmd.write, offset: 8192, payload })).error, 0);
    assert.deepEqual(
      (await second.call({ type: cmd.read, offset: 8192, length: 4096 })).data,
      payload,
    );
  });

  test('locks a file once, against other programs', async (t) => {
    const path = join(await temporaryFolder(t), 'disk.img');
    await writeFile(path, Buffer.alloc(4096));
    const { uri } = await serve(t, [...threads, '--port', '0', path]);
    const other = await runProgram(t, ['serve', '--port', '0', path]);
    assert.match(other.stderr, /NBDCORK_LOCKED/);
    const { client } = await openExport(t, uri);
    assert.equal((await client.call({ type: cmd.write, payload: pattern(512) })).error, 0);
    assert.equal((await client.call({ type: cmd.flush })).error, 0);
    assert.deepEqual((await readFile(path)).subarray(0, 512), pattern(512));
  });

  test(
    'ends with 3 within --shutdown-timeout where a write hangs',
    { timeout: 60_000 },
    async (t) => {
      if (!canMakeFaultyFiles(t)) return;
      const { path, hang } = await hangingFile(t);
      const folder = await temporaryFolder(t);
      const unix = join(folder, 'nbd.sock');
      const args = ['serve', ...threads, '--unix', unix, '--shutdown-timeout', '2s', path];
      const server = new RunningProgram(t, args);
      const [uri = ''] = await server.uris();
      const { client } = await openExport(t, uri);
      await hang();
      client.request({ type: cmd.write, payload: Buffer.alloc(4096) });
      // The refusal of an unknown command says that the write has been received.
      assert.equal((await client.call({ type: 99 })).error, 22);
      assert.deepEqual(await server.stop('SIGTERM'), { status: 3, signal: null });
      assert.match(server.stderr.text, /NBDCORK_SHUTDOWN_TIMEOUT/);
      assert.deepEqual(await readdir(folder), []);
    },
  );

  test(
    'fails the flush of a client on each where writes of one were lost',
    { skip: blockDeviceSkip },
    async (t) => {
      // A device whose file finds no room: the system learns that after it has answered.
      const folder = await makeFileSystem(t, 2 ** 20);
      const file = join(folder, 'backing');
      await makeFileAt(file, 8 * 2 ** 20);
      const device = await makeBlockDevice(t, file);
      const server = new RunningProgram(t, ['serve', ...threads, '--port', '0', device]);
      const [uri = ''] = await server.uris();
      const [first, second] = [
        (await openExport(t, uri)).client,
        (await openExport(t, uri)).client,
      ];
      const payload = pattern(4 * 2 ** 20);
      assert.equal((await first.call({ type: cmd.write, payload })).error, 0);
      assert.notEqual((await second.call({ type: cmd.flush })).error, 0);
      assert.notEqual((await first.call({ type: cmd.flush })).error, 0);
      assert.deepEqual(await server.stop('SIGTERM'), { status: 3, signal: null });
      assert.match(server.stderr.text, /\(NBDCORK_DATA_LOST\)/);
    },
  );

  test('cannot have a disk that clients resize', async (t) => {
    const ended = await runProgram(t, ['serve', ...threads, '--resizable', 'memory:1M']);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /resizable.*\(NBDCORK_BAD_THREADS\)/);
  });
});

test('--threads and --stdio exclude each other', async (t) => {
  const ended = await runProgram(t, ['serve', ...threads, '--stdio', 'memory:1M']);
  assert.equal(ended.status, 2);
  assert.match(ended.stderr, /cannot be used with option '--threads <number>'/);
});
