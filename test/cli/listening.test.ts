/** Where the program listens, and what it prints. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { goData } from '../support/byte-client.js';
import { connectTo, openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { opt, rep } from '../support/numbers.js';
import { runProgram, RunningProgram, serve } from '../support/program.js';

describe('TCP', () => {
  test('--port 0 picks a free port on 127.0.0.1', async (t) => {
    const { uri } = await serve(t, ['--port', '0', 'memory:1M']);
    assert.match(uri, /^nbd:\/\/127\.0\.0\.1:[1-9]\d+$/);
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
  });

  test('--host alone listens on the port of NBD', async (t) => {
    // The address is of loopback's network, and nobody else's.
    const { uri } = await serve(t, ['--host', '127.93.57.21', 'memory:1M']);
    assert.equal(uri, 'nbd://127.93.57.21');
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
  });

  test('--host ::1', async (t) => {
    const { uri } = await serve(t, ['--host', '::1', '--port', '0', 'memory:3M']);
    assert.match(uri, /^nbd:\/\/\[::1\]:\d+$/);
    assert.equal((await openExport(t, uri)).size, 3 * 2 ** 20);
  });

  test('exits with 1 if the port is in use', async (t) => {
    const occupant = createServer().listen(0, '127.0.0.1');
    t.after(() => occupant.close());
    await once(occupant, 'listening');
    const address = occupant.address();
    assert.ok(typeof address === 'object' && address !== null);
    const port = String(address.port);
    const { status, stdout, stderr } = await runProgram(t, ['serve', '--port', port, 'memory:1M']);
    assert.equal(status, 1);
    assert.match(
      stderr,
      new RegExp(`127\\.0\\.0\\.1 port ${port}.*[Aa]nother.*\\(NBDCORK_LISTEN\\)`),
    );
    assert.equal(stdout, '');
  });
});

for (const [args, advice] of [
  [['--host', '192.0.2.1'], /No network interface/],
  [['--host', 'nowhere.invalid'], /Unknown host/],
] as const) {
  test(`${args.join(' ')} exits with 1 and a hint`, async (t) => {
    const { status, stderr } = await runProgram(t, ['serve', ...args, '--port', '0', 'memory:1M']);
    assert.equal(status, 1);
    assert.match(stderr, advice);
  });
}

describe('Unix sockets', () => {
  test('--unix listens there, and the file is gone afterwards', async (t) => {
    const path = join(await temporaryFolder(t), 'a b+ü.sock');
    const { server, uri } = await serve(t, ['--unix', path, 'memory:1M']);
    assert.equal(new URL(uri).searchParams.get('socket'), path);
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
    await server.stop();
    assert.ok(!existsSync(path));
  });

  test('a socket file that a killed server left is replaced', async (t) => {
    const path = join(await temporaryFolder(t), 'nbd.sock');
    const killed = new RunningProgram(t, ['serve', '--unix', path, 'memory:1M']);
    await killed.uris();
    assert.deepEqual(await killed.stop('SIGKILL'), { status: null, signal: 'SIGKILL' });
    assert.ok(existsSync(path));
    const { uri } = await serve(t, ['--unix', path, 'memory:2M']);
    assert.equal((await openExport(t, uri)).size, 2 * 2 ** 20);
  });

  test('the socket of a running server is not replaced', async (t) => {
    const path = join(await temporaryFolder(t), 'nbd.sock');
    const { uri } = await serve(t, ['--unix', path, 'memory:1M']);
    const { status, stderr } = await runProgram(t, ['serve', '--unix', path, 'memory:2M']);
    assert.equal(status, 1);
    assert.match(stderr, /Another server is listening.*\(NBDCORK_LISTEN\)/);
    assert.equal((await openExport(t, uri)).size, 2 ** 20);
  });

  test('a file that is not a socket is not replaced', async (t) => {
    const path = join(await temporaryFolder(t), 'precious');
    await writeFile(path, 'data');
    assert.equal((await runProgram(t, ['serve', '--unix', path, 'memory:1M'])).status, 1);
    assert.ok(existsSync(path));
  });

  test('a path that is too long for a socket is rejected, not truncated', async (t) => {
    const path = join(await temporaryFolder(t), 'x'.repeat(107));
    const { status, stdout, stderr } = await runProgram(t, ['serve', '--unix', path, 'memory:1M']);
    assert.equal(status, 1);
    assert.match(stderr, /107 bytes.*\(NBDCORK_LISTEN\)/);
    assert.equal(stdout, '');
  });
});

test('--unix together with --port listens on both, and prints absolute URIs', async (t) => {
  const folder = await temporaryFolder(t);
  const args = ['serve', '--unix', 'nbd.sock', '--port', '0', 'memory:2M'];
  const server = new RunningProgram(t, args, { cwd: folder });
  const [unix = '', tcp = ''] = await server.uris(2);
  assert.equal(new URL(unix).searchParams.get('socket'), join(folder, 'nbd.sock'));
  assert.match(tcp, /^nbd:\/\/127\.0\.0\.1:\d+$/);
  for (const place of [unix, tcp]) {
    assert.equal((await openExport(t, place)).size, 2 * 2 ** 20);
  }
});

describe('names', () => {
  test('a URI for each source, in the order they were given in', async (t) => {
    const sources = ['2=memory:2M', '1=memory:1M', 'memory:4M', 'a b?ü=memory:3M'];
    const server = new RunningProgram(t, ['serve', '--port', '0', ...sources]);
    const uris = await server.uris(sources.length);
    assert.deepEqual(
      uris.map((uri) => new URL(uri).pathname),
      ['/2', '/1', '', '/a%20b%3F%C3%BC'],
    );
    const sizes: number[] = [];
    for (const uri of uris) sizes.push((await openExport(t, uri)).size / 2 ** 20);
    assert.deepEqual(sizes, [2, 1, 4, 3]);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  });

  test('of members of every object are ordinary names', async (t) => {
    const names = ['__proto__', 'constructor', 'toString', 'find', 'hasOwnProperty'];
    const { server, uri } = await serve(t, [
      ...['--port', '0', '--default-export', '__proto__'],
      ...names.flatMap((name) => ['--description', `${name}=of ${name}`]),
      ...names.flatMap((name) => ['--allow', `${name}=any`]),
      ...names.map((name) => `${name}=memory:1M`),
    ]);
    const client = await connectTo(t, uri);
    await client.greet();
    const listed = await client.option(opt.list);
    assert.deepEqual(
      listed.slice(0, -1).map(({ data }) => data.toString('utf8', 4)),
      names.map((name) => `${name}of ${name}`),
    );
    for (const name of ['valueOf', 'isPrototypeOf']) {
      const [refusal] = await client.option(opt.go, goData(name));
      assert.equal(refusal?.type, rep.errPolicy, 'no rule allows it');
    }
    for (const each of await server.uris(names.length)) await openExport(t, each);
  });

  test('clients can list them, and unknown names are refused', async (t) => {
    const { uri } = await serve(t, ['--port', '0', 'a=memory:1M', 'grüße=memory:2M']);
    const client = await connectTo(t, uri);
    await client.greet();
    const listed = await client.option(opt.list);
    assert.deepEqual(
      listed.slice(0, -1).map(({ data }) => data.toString('utf8', 4, 4 + data.readUInt32BE())),
      ['a', 'grüße'],
    );
    for (const [name, answer] of [
      ['b', rep.errUnknown],
      ['', rep.errUnknown],
      ['grüße', rep.ack],
    ] as const) {
      assert.equal((await client.option(opt.go, goData(name))).at(-1)?.type, answer, name);
    }
  });
});
