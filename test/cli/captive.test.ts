/** `serve --run CMD`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { runProgram, RunningProgram } from '../support/program.js';

describe('--run', () => {
  test('the environment has the URI of a private socket, which is removed', async (t) => {
    const TMPDIR = await temporaryFolder(t);
    const command =
      'printf "%s\\n%s\\n" "$NBD_URI" "$uri"; stat -c "%a %F" "$TMPDIR"/* "$TMPDIR"/*/*.sock';
    const args = ['serve', '--run', command, 'a=memory:1M', 'memory:2M'];
    const { status, stdout, stderr } = await runProgram(t, args, { env: { TMPDIR } });
    assert.equal(stderr, '');
    assert.equal(status, 0);
    const [first, second, folderMode, socketMode, ...more] = stdout.split('\n');
    assert.equal(first, second);
    const { protocol, pathname, searchParams } = new URL(first ?? '');
    assert.equal(protocol, 'nbd+unix:');
    assert.equal(pathname, '/a');
    assert.ok(searchParams.get('socket')?.startsWith(`${TMPDIR}/`));
    assert.equal(folderMode, '700 directory');
    assert.match(socketMode ?? '', / socket$/);
    assert.deepEqual(more, ['']);
    assert.deepEqual(await readdir(TMPDIR), []);
  });

  for (const [command, status] of [
    ['exit 0', 0],
    ['exit 3', 3],
    ['kill -KILL $$', 128 + 9],
    ['kill -TERM $$', 128 + 15],
    ['no-such-program-anywhere', 127],
  ] as const) {
    test(`exits with ${status} after: ${command}`, async (t) => {
      const TMPDIR = await temporaryFolder(t);
      const args = ['serve', '--run', command, 'memory:1M'];
      assert.equal((await runProgram(t, args, { env: { TMPDIR } })).status, status);
      assert.deepEqual(await readdir(TMPDIR), []);
    });
  }

  test('the command can use the export on TCP', async (t) => {
    const script = join(await temporaryFolder(t), 'client.mjs');
    // NBDMAGIC is what a server says first.
    await writeFile(
      script,
      `import { connect } from 'node:net';
       const { hostname, port } = new URL(process.env.NBD_URI);
       connect(port, hostname).on('data', (data) => {
         console.log(data.toString('latin1', 0, 8));
         process.exit(7);
       });`,
    );
    const command = `exec "${process.execPath}" "${script}"`;
    const args = ['serve', '--port', '0', '--run', command, 'memory:1M'];
    const { status, stdout } = await runProgram(t, args);
    assert.equal(stdout, 'NBDMAGIC\n');
    assert.equal(status, 7);
  });

  test('the command is not run if a source is missing', async (t) => {
    const path = join(await temporaryFolder(t), 'missing.img');
    const { status, stdout } = await runProgram(t, ['serve', '--run', 'echo ran', path]);
    assert.equal(status, 1);
    assert.equal(stdout, '');
  });

  test('exits with 1 if the folder for the socket cannot be created', async (t) => {
    const TMPDIR = join(await temporaryFolder(t), 'missing');
    const args = ['serve', '--run', 'echo ran', 'memory:1M'];
    const { status, stdout, stderr } = await runProgram(t, args, { env: { TMPDIR } });
    assert.equal(status, 1);
    assert.match(stderr, /Set TMPDIR.*\(NBDCORK_RUN\)/);
    assert.equal(stdout, '');
  });
});

describe('signals go to the command', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    test(`${signal} ends it, then the server, without leftovers`, async (t) => {
      const TMPDIR = await temporaryFolder(t);
      // The shell replaces itself by a client that ends with 5 when it is asked
      // to, and with 9 when it has lost its server.
      const child = `
        const { searchParams } = new URL(process.env.NBD_URI);
        const socket = require('node:net').connect(searchParams.get('socket'));
        socket.resume().on('close', () => process.exit(9));
        process.on('${signal}', () => process.exit(5));
        socket.on('connect', () => console.log(process.env.NBD_URI));`;
      const command = `exec "${process.execPath}" -e "${child}"`;
      const program = new RunningProgram(t, ['serve', '--run', command, 'memory:1M'], {
        env: { TMPDIR },
      });
      const [uri] = await program.uris();
      assert.equal((await openExport(t, uri ?? '')).size, 2 ** 20);
      assert.deepEqual(await program.stop(signal), { status: 5, signal: null });
      assert.deepEqual(await readdir(TMPDIR), []);
    });
  }

  for (const [where, args] of [
    ['a private socket', () => []],
    ['--unix', (folder: string) => ['--unix', join(folder, 'nbd.sock')]],
  ] as const) {
    test(`a second signal kills the command, and ends the server with ${where}, without leftovers`, async (t) => {
      const TMPDIR = await temporaryFolder(t);
      const child = `
        process.on('SIGTERM', () => console.log('not yet'));
        setTimeout(() => undefined, 60_000);
        console.log(process.env.NBD_URI);`;
      const command = `exec "${process.execPath}" -e "${child}"`;
      const program = new RunningProgram(
        t,
        ['serve', ...args(TMPDIR), '--run', command, 'memory:1M'],
        { env: { TMPDIR } },
      );
      await program.uris();
      program.signal('SIGTERM');
      await program.stdout.match(/not yet/);
      // It has ended when nobody holds its output any more, so the command has as well.
      assert.deepEqual(await program.stop('SIGINT'), { status: 128 + 2, signal: null });
      assert.deepEqual(await readdir(TMPDIR), []);
    });
  }

  test('a second signal does not wait for a client when the command has ended', async (t) => {
    const TMPDIR = await temporaryFolder(t);
    const child = `
      process.on('SIGTERM', () => process.exit(5));
      process.on('exit', () => console.log('ended'));
      setTimeout(() => undefined, 60_000);
      console.log(process.env.NBD_URI);`;
    const command = `exec "${process.execPath}" -e "${child}"`;
    const program = new RunningProgram(t, ['serve', '--run', command, 'memory:64M'], {
      env: { TMPDIR },
    });
    const [uri = ''] = await program.uris();
    const { client } = await openExport(t, uri);
    // More than sockets hold, and only the beginning of the reply is read.
    client.request({ type: cmd.read, length: 32 * 2 ** 20 });
    await once(client.stream, 'data');
    client.stream.pause();
    program.signal('SIGTERM');
    await program.stdout.match(/ended/);
    assert.deepEqual(await program.stop('SIGTERM'), { status: 128 + 15, signal: null });
    assert.deepEqual(await readdir(TMPDIR), []);
  });

  // The folder is made before there is a command that could be told. Where the
  // signal comes later after all, the command must not have ended by itself.
  test('a signal before the command has started leaves nothing behind', async (t) => {
    const TMPDIR = await temporaryFolder(t);
    const watcher = watch(TMPDIR);
    t.after(() => {
      watcher.close();
    });
    const folderMade = once(watcher, 'change');
    const program = new RunningProgram(
      t,
      ['serve', '--run', 'exec tail -f /dev/null', 'memory:1M'],
      {
        env: { TMPDIR },
      },
    );
    await folderMade;
    assert.deepEqual(await program.stop('SIGTERM'), { status: 128 + 15, signal: null });
    assert.deepEqual(await readdir(TMPDIR), []);
  });
});
