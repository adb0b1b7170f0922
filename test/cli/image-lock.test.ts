/** An image is served for writing by one server. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { temporaryFolder } from '../support/folder.js';
import { needs } from '../support/peers.js';
import { RunningProgram, runProgram, serve } from '../support/program.js';
import { until } from '../support/server.js';

const usesAddon = { skip: addon === undefined && 'needs the addon' };

async function makeImage(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  await writeFile(path, '');
  await truncate(path, 2 ** 20);
  return path;
}

test('an image is served for writing by one server', usesAddon, async (t) => {
  const image = await makeImage(t);
  const { server } = await serve(t, ['--port', '0', image]);
  const second = await runProgram(t, ['serve', '--port', '0', image]);
  assert.equal(second.status, 1);
  assert.match(second.stderr, /in use: another program .* \(NBDCORK_LOCKED\)/);
  await serve(t, ['--port', '0', '--read-only', image]);
  await serve(t, ['--port', '0', '--no-lock', image]);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  await serve(t, ['--port', '0', image]);
});

test('an image under two names is not served for writing', usesAddon, async (t) => {
  const image = await makeImage(t);
  const { status, stderr } = await runProgram(t, ['serve', '--port', '0', `a=${image}`, image]);
  assert.equal(status, 1);
  assert.match(stderr, /\(NBDCORK_LOCKED\)/);
  await serve(t, ['--port', '0', '--read-only', `a=${image}`, image]);
});

test('an image that qemu-nbd writes is served for reading only', usesAddon, async (t) => {
  if (!needs(t, 'qemu-nbd')) return;
  const image = await makeImage(t);
  const socket = `${image}.sock`;
  const args = ['--format', 'raw', '--persistent', '--socket', socket, image];
  new RunningProgram(t, args, { command: ['qemu-nbd'] });
  // It locks the image before it listens.
  await until(() => existsSync(socket));
  const { status, stderr } = await runProgram(t, ['serve', '--port', '0', image]);
  assert.equal(status, 1);
  assert.match(stderr, /has it open for writing.*\(NBDCORK_LOCKED\)/);
  await serve(t, ['--port', '0', '--read-only', image]);
});
