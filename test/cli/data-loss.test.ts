/** The exit code where a disk could not be flushed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openExport } from '../support/connecting.js';
import { canMakeFaultyFiles, unflushableFile } from '../support/faulty-file.js';
import { cmd } from '../support/numbers.js';
import { RunningProgram } from '../support/program.js';

test('a last flush that fails ends the server with 3', { timeout: 60_000 }, async (t) => {
  if (!canMakeFaultyFiles(t)) return;
  const { path, fail } = await unflushableFile(t);
  const server = new RunningProgram(t, ['serve', '--port', '0', path]);
  const [uri = ''] = await server.uris();
  const { client } = await openExport(t, uri);
  assert.equal((await client.call({ type: cmd.write, payload: Buffer.alloc(4096) })).error, 0);
  fail();
  assert.deepEqual(await server.stop(), { status: 3, signal: null });
  assert.match(server.stderr.text, /cannot close backend/);
  assert.match(server.stderr.text, /\(NBDCORK_DATA_LOST\)/);
});
