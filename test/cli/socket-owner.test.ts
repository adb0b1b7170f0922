/** One server at a time has the path of a Unix socket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { needs } from '../support/peers.js';
import { RunningProgram, runProgram } from '../support/program.js';

const usesAddon = { skip: addon === undefined && 'needs the addon' };

test('of servers that start together over a stale file, one listens', usesAddon, async (t) => {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const args = ['serve', '--unix', path, 'memory:1M'];
  const killed = new RunningProgram(t, args);
  await killed.uris();
  await killed.stop('SIGKILL');
  for (let round = 0; round < 3; round++) {
    assert.ok(existsSync(path));
    const servers = Array.from({ length: 4 }, () => new RunningProgram(t, args));
    const started = await Promise.allSettled(servers.map((server) => server.uris()));
    const owners = servers.filter((_, index) => started[index]?.status === 'fulfilled');
    assert.equal(owners.length, 1);
    for (const server of servers) {
      if (owners.includes(server)) continue;
      assert.deepEqual(await server.exited, { status: 1, signal: null });
      assert.match(server.stderr.text, /Another server.*\(NBDCORK_LISTEN\)/);
    }
    const [owner] = owners;
    assert.equal((await openExport(t, (await owner?.uris())?.[0] ?? '')).size, 2 ** 20);
    // The next round finds a stale file again.
    await owner?.stop('SIGKILL');
  }
});

test('a server that stops leaves a socket that another has put in its place', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'nbd.sock');
  const server = new RunningProgram(t, ['serve', '--unix', path, 'memory:1M']);
  await server.uris();
  const other = createServer().listen(join(folder, 'other'));
  t.after(() => other.close());
  await once(other, 'listening');
  const { ino } = lstatSync(join(folder, 'other'));
  await rename(join(folder, 'other'), path);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.equal(lstatSync(path).ino, ino);
});

test('a socket that is bound and does not listen yet is left to its program', async (t) => {
  if (!needs(t, 'python3')) return;
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const script =
    'import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); ' +
    'print("bound", flush=True); sys.stdin.read()';
  const child = spawn('python3', ['-c', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  await once(child.stdout, 'data');
  const { ino } = lstatSync(path);
  const { status, stderr } = await runProgram(t, ['serve', '--unix', path, 'memory:1M']);
  assert.equal(status, 1);
  assert.match(stderr, /Another server.*\(NBDCORK_LISTEN\)/);
  assert.equal(lstatSync(path).ino, ino);
});
