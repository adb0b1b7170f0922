/** The options that keep the system's cache free. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { cachedBytes, canMeasureCache, directSkip } from '../backend/file/support/direct.js';
import { temporaryFolder } from '../support/folder.js';
import { needs, succeed } from '../support/peers.js';
import { runProgram, serve } from '../support/program.js';

const mebibyte = 2 ** 20;

interface Images {
  readonly image: string;
  readonly source: string;
}

async function makeImages(t: TestContext, size: number): Promise<Images> {
  const folder = await temporaryFolder(t);
  const image = join(folder, 'disk.img');
  const source = join(folder, 'source.img');
  await writeFile(source, randomBytes(size));
  await writeFile(image, '');
  await truncate(image, size);
  return { image, source };
}

test('--direct serves files past the cache', { skip: directSkip }, async (t) => {
  if (!needs(t, 'nbdinfo', 'nbdcopy') || !canMeasureCache(t)) return;
  const { image, source } = await makeImages(t, 16 * mebibyte);
  const { server, uri } = await serve(t, ['--port', '0', '--direct', image]);
  assert.match(await succeed(t, 'nbdinfo', [uri]), /block_size_minimum: (512|4096)/);
  await succeed(t, 'nbdcopy', ['--flush', source, uri]);
  const copy = `${source}.copy`;
  await succeed(t, 'nbdcopy', [uri, copy]);
  assert.equal(cachedBytes(image), 0);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  const content = await readFile(source);
  assert.ok(content.equals(await readFile(image)) && content.equals(await readFile(copy)));
});

test(
  '--direct refuses a size that is no multiple of its blocks',
  { skip: directSkip },
  async (t) => {
    const { image } = await makeImages(t, mebibyte + 1);
    const { status, stderr } = await runProgram(t, ['serve', '--port', '0', '--direct', image]);
    assert.equal(status, 1);
    assert.match(stderr, /truncate -s %\d+ .*\(NBDCORK_NO_DIRECT_IO\)/);
  },
);

test('--drop-cache leaves the cache as it was', async (t) => {
  if (!needs(t, 'nbdcopy') || !canMeasureCache(t)) return;
  const { image, source } = await makeImages(t, 64 * mebibyte);
  const { server, uri } = await serve(t, ['--port', '0', '--drop-cache', image]);
  await succeed(t, 'nbdcopy', ['--flush', source, uri]);
  await succeed(t, 'nbdcopy', [uri, `${source}.copy`]);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.ok(cachedBytes(image) <= mebibyte, `${cachedBytes(image)} bytes`);
  assert.ok((await readFile(source)).equals(await readFile(image)));
});
