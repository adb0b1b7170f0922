/** The end of the program does not wait for a disk that hangs. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { openExport } from '../support/connecting.js';
import { canMakeFaultyFiles, hangingFile } from '../support/faulty-file.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { RunningProgram } from '../support/program.js';

async function withHungWrite(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { path, hang } = await hangingFile(t);
  const server = new RunningProgram(t, ['serve', ...args, path], { env });
  const [uri = ''] = await server.uris();
  const { client } = await openExport(t, uri);
  assert.equal((await client.call({ type: cmd.write, payload: Buffer.alloc(4096) })).error, 0);
  await hang();
  client.request({ type: cmd.write, payload: Buffer.alloc(4096) });
  // The refusal of an unknown command says that the write has been received.
  assert.equal((await client.call({ type: 99 })).error, 22);
  return server;
}

async function milliseconds(work: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work;
  return performance.now() - start;
}

const usesAddon = { skip: addon === undefined && 'needs the addon', timeout: 60_000 };

describe('with a write that hangs', usesAddon, () => {
  test('SIGTERM ends the server with 3 within --shutdown-timeout', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const folder = await temporaryFolder(t);
    const unix = join(folder, 'nbd.sock');
    const server = await withHungWrite(t, ['--unix', unix, '--shutdown-timeout', '2s']);
    const taken = await milliseconds(server.stop('SIGTERM'));
    assert.deepEqual(await server.exited, { status: 3, signal: null });
    assert.ok(taken < 3500, `${taken} ms`);
    assert.match(server.stderr.text, /NBDCORK_SHUTDOWN_TIMEOUT/);
    assert.deepEqual(await readdir(folder), []);
  });

  test('a second signal ends the server at once', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const server = await withHungWrite(t, ['--port', '0', '--shutdown-timeout', '30s']);
    server.signal('SIGTERM');
    await server.stderr.match(/stopping/);
    const taken = await milliseconds(server.stop('SIGTERM'));
    assert.deepEqual(await server.exited, { status: 128 + 15, signal: null });
    assert.ok(taken < 1000, `${taken} ms`);
  });

  test('--run ends with 3, and leaves nothing behind', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const TMPDIR = await temporaryFolder(t);
    const command = 'echo "$NBD_URI"; exec tail -f /dev/null';
    const args = ['--shutdown-timeout', '2s', '--run', command];
    const server = await withHungWrite(t, args, { TMPDIR });
    const taken = await milliseconds(server.stop('SIGTERM'));
    assert.deepEqual(await server.exited, { status: 3, signal: null });
    assert.ok(taken < 3500, `${taken} ms`);
    assert.deepEqual(await readdir(TMPDIR), []);
  });
});
