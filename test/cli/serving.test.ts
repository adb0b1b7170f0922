/** Options of `serve`, as clients see them. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { ByteClient } from '../support/byte-client.js';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, err, transmission } from '../support/numbers.js';
import { Output, programPath, serve } from '../support/program.js';

function clientOf(readable: Readable, writable: Writable): ByteClient {
  return new ByteClient(Duplex.from({ readable, writable }));
}

function errorsOf(child: ChildProcess): Output {
  assert.ok(child.stderr !== null);
  return new Output(child.stderr);
}

test('a file is read and written in place', async (t) => {
  const path = join(await temporaryFolder(t), 'disk.img');
  const content = randomBytes(50_000);
  await writeFile(path, content);
  const { server, uri } = await serve(t, ['--port', '0', path]);
  const { client, size } = await openExport(t, uri);
  assert.equal(size, 50_000);
  assert.deepEqual((await client.call({ type: cmd.read, length: 50_000 })).data, content);
  const payload = randomBytes(12_345);
  assert.equal((await client.call({ type: cmd.write, offset: 7_777, payload })).error, 0);
  client.request({ type: cmd.disc });
  assert.equal((await client.closed).length, 0);
  await server.stop();
  payload.copy(content, 7_777);
  assert.deepEqual(await readFile(path), content);
});

describe('--read-only', () => {
  for (const source of ['file', 'memory']) {
    test(`a ${source} can be read, and a write is EPERM`, async (t) => {
      const path = join(await temporaryFolder(t), 'disk.img');
      await writeFile(path, Buffer.alloc(8192));
      const disk = source === 'file' ? path : 'memory:8K';
      const { uri } = await serve(t, ['--port', '0', '--read-only', disk]);
      const { client, flags } = await openExport(t, uri);
      assert.ok((flags & transmission.readOnly) !== 0);
      const write = { type: cmd.write, payload: Buffer.alloc(512, 1) };
      assert.equal((await client.call(write)).error, err.EPERM);
      const { error, data } = await client.call({ type: cmd.read, length: 512 });
      assert.equal(error, 0);
      assert.deepEqual(data, Buffer.alloc(512));
      assert.deepEqual(await readFile(path), Buffer.alloc(8192));
    });
  }

  test('without it, exports are writable', async (t) => {
    const { uri } = await serve(t, ['--port', '0', 'memory:8K']);
    assert.equal((await openExport(t, uri)).flags & transmission.readOnly, 0);
  });
});

describe('--transmit', () => {
  for (const strategy of ['auto', 'plain', 'cork', 'more', 'vectored', 'batched', 'stream']) {
    for (const place of ['TCP', 'Unix']) {
      test(`${strategy} over ${place}`, async (t) => {
        const path = join(await temporaryFolder(t), 'nbd.sock');
        const where = place === 'TCP' ? ['--port', '0'] : ['--unix', path];
        const { uri } = await serve(t, [...where, '--transmit', strategy, 'memory:4M']);
        const { client } = await openExport(t, uri);
        const payload = randomBytes(3_000_000);
        const write = { type: cmd.write, offset: 100_000, payload };
        assert.equal((await client.call(write)).error, 0);
        for (const [start, end] of [
          [0, 3_000_000],
          [5, 6],
          [1_000, 5_096],
        ] as const) {
          const range = { offset: 100_000 + start, length: end - start };
          const { error, data } = await client.call({ type: cmd.read, ...range });
          assert.equal(error, 0);
          assert.ok(payload.subarray(start, end).equals(data), `${start} to ${end}`);
        }
      });
    }
  }
});

describe('--stdio', () => {
  test('serves one client and exits with 0 when it has disconnected', async (t) => {
    const path = join(await temporaryFolder(t), 'disk.img');
    const content = randomBytes(20_000);
    await writeFile(path, content);
    const child = spawn(process.execPath, [programPath, 'serve', '--stdio', path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const exit = once(child, 'exit');
    const client = clientOf(child.stdout, child.stdin);
    await client.open();
    const { data } = await client.call({ type: cmd.read, offset: 1, length: 19_998 });
    assert.deepEqual(data, content.subarray(1, 19_999));
    client.request({ type: cmd.disc });
    client.stream.end();
    assert.deepEqual(await exit, [0, null]);
    assert.equal((await client.closed).length, 0, 'nothing but the protocol was printed');
  });

  test('exits when the client closes its end without NBD_CMD_DISC', async (t) => {
    const child = spawn(process.execPath, [programPath, 'serve', '--stdio', 'memory:1M'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const exit = once(child, 'exit');
    const client = clientOf(child.stdout, child.stdin);
    await client.open();
    client.stream.end();
    assert.deepEqual(await exit, [0, null]);
    assert.equal((await client.closed).length, 0);
  });

  test('a file is neither a socket nor a pipe', async (t) => {
    const path = join(await temporaryFolder(t), 'out');
    await writeFile(path, '');
    const out = openSync(path, 'w');
    const args = [programPath, 'serve', '--stdio', 'memory:1M'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', out, 'pipe'] });
    closeSync(out);
    const stderr = errorsOf(child);
    assert.deepEqual(await once(child, 'close'), [1, null]);
    assert.match(stderr.text, /must be a socket or pipes.* \(NBDCORK_BAD_STDIO\)/);
    assert.equal((await readFile(path)).length, 0);
  });
});

test('a URI that cannot be printed is logged, and the server keeps running', async (t) => {
  const full = openSync('/dev/full', 'w');
  const args = [programPath, 'serve', '--port', '0', '--log-format', 'json', 'memory:1M'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', full, 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  closeSync(full);
  const [, uri] = await errorsOf(child).match(/"uris":\["([^"]*)".*\n/);
  assert.ok(uri !== undefined);
  assert.equal((await openExport(t, uri)).size, 2 ** 20);
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null]);
});
