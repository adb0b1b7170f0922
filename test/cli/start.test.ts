/** What `npm start` serves. */
import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { RunningProgram } from '../support/program.js';

const command = [process.execPath, 'scripts/start.mjs'] as const;

async function sizeOf(t: TestContext, args: readonly string[]): Promise<number> {
  const server = new RunningProgram(t, args, { command });
  const [uri = ''] = await server.uris();
  const { size } = await openExport(t, uri);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  return size;
}

describe('npm start', () => {
  test('serves a disk of 64 MiB where no disk is named', async (t) => {
    assert.equal(await sizeOf(t, ['--port', '0']), 2 ** 26);
  });

  test('serves the disk that is named after --', async (t) => {
    const path = join(await temporaryFolder(t), 'disk.img');
    await writeFile(path, '');
    await truncate(path, 2 ** 20);
    assert.equal(await sizeOf(t, [path, '--port', '0']), 2 ** 20);
    assert.equal(await sizeOf(t, ['--port', '0', '--export', '=memory:2M']), 2 ** 21);
  });
});
