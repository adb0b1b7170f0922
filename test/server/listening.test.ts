/** Where a server listens, and what it says when it cannot. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { connect, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createServer, NbdError, type NbdServer } from '../../lib/index.js';
import { ByteClient, goData, optionBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd, opt } from '../support/numbers.js';
import { startServer, eventLoopTurn, until } from '../support/server.js';
import { Log } from '../support/log.js';

const content = pattern(4096);
const exports = { '': new BufferDisk(content), other: new BufferDisk(content) };

function idle(t: TestContext): NbdServer {
  const server = createServer({ exports });
  t.after(() => server.close());
  return server;
}

async function isServed(t: TestContext, where: { path: string } | { port: number; host: string }) {
  const socket = connect(where);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const client = new ByteClient(socket);
  await client.open();
  const { data } = await client.call({ type: cmd.read, length: 4096 });
  assert.deepEqual(data, content);
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}

function reset({ stream }: ByteClient): void {
  assert.ok(stream instanceof Socket);
  stream.resetAndDestroy();
}

/** A file of a socket that nobody listens on, as a server leaves it that is killed. */
function leaveStaleSocket(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.throws(() => execFileSync(process.execPath, ['-e', script]), { signal: 'SIGKILL' });
}

describe('listen()', () => {
  test('is on 127.0.0.1 by default', async (t) => {
    const server = await idle(t).listen({ port: 0 });
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'host' in address);
    assert.equal(address.host, '127.0.0.1');
    await isServed(t, address);
  });

  test('is in as many places as it is called for', async (t) => {
    const folder = await temporaryFolder(t);
    const server = idle(t);
    await server.listen({ path: join(folder, 'a') });
    await server.listen({ path: join(folder, 'b') });
    await server.listen({ port: 0 });
    await server.listen({ port: 0, host: '127.0.0.2' });
    assert.equal(server.addresses.length, 4);
    for (const address of server.addresses) await isServed(t, address);
    await until(() => server.connectionCount === 4);
  });

  test('takes an abstract socket', async (t) => {
    const path = `\0nbdcork-test-${process.pid}`;
    const server = await idle(t).listen({ path });
    await isServed(t, { path });
    assert.equal(server.uri(), `nbd+unix:///?socket=%00nbdcork-test-${process.pid}`);
  });

  test('replaces the file of a Unix socket without a listener', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    leaveStaleSocket(path);
    assert.ok((await stat(path)).isSocket());
    await idle(t).listen({ path });
    await isServed(t, { path });
  });

  test('does not replace a Unix socket with a listener', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    const first = await idle(t).listen({ path });
    await assert.rejects(idle(t).listen({ path }), (error) => {
      assert.ok(error instanceof NbdError);
      assert.equal(error.code, 'NBDCORK_LISTEN');
      assert.match(error.message, /another server/i);
      assert.ok(error.message.includes(path));
      assert.equal(Reflect.get(Object(error.cause), 'code'), 'EADDRINUSE');
      return true;
    });
    await isServed(t, { path });
    await first.close();
    await assert.rejects(access(path));
  });

  test('leaves other files alone', async (t) => {
    const folder = await temporaryFolder(t);
    const [file, link] = [join(folder, 'file'), join(folder, 'link')];
    await writeFile(file, 'precious');
    await symlink(file, link);
    for (const path of [file, link]) {
      await assert.rejects(idle(t).listen({ path }), { code: 'NBDCORK_LISTEN' });
    }
    assert.equal(await readFile(file, 'utf8'), 'precious');
  });

  test('reports the busy port', async (t) => {
    const server = await idle(t).listen({ port: 0 });
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'port' in address);
    await assert.rejects(idle(t).listen({ port: address.port }), (error) => {
      assert.ok(error instanceof NbdError);
      assert.equal(error.code, 'NBDCORK_LISTEN');
      assert.ok(error.message.includes(`127.0.0.1 port ${address.port}`));
      return true;
    });
  });

  for (const [what, where] of Object.entries({
    'a folder that does not exist': { path: '/nonexistent/nbdcork/socket' },
    'a path longer than a socket may have': { path: join(tmpdir(), 'x'.repeat(108)) },
    'a host that is none of this machine': { port: 0, host: '192.0.2.1' },
    'port 65536': { port: 65_536 },
    'port -1': { port: -1 },
    'a descriptor that is no socket': { fd: 0x7ffffff },
  })) {
    test(`cannot be in ${what}`, async (t) => {
      const server = idle(t);
      await assert.rejects(server.listen(where), (error) => {
        assert.ok(error instanceof NbdError);
        assert.equal(error.code, 'NBDCORK_LISTEN');
        assert.ok(error.cause instanceof Error);
        return true;
      });
      assert.deepEqual(server.addresses, []);
      // The server is as good as before.
      await server.listen({ port: 0 });
      assert.equal(server.addresses.length, 1);
    });
  }

  test('of a server that is closed is refused', async (t) => {
    const server = idle(t);
    await server.close();
    await assert.rejects(server.listen({ port: 0 }), { code: 'NBDCORK_CLOSED' });
  });

  test('that close() overtakes leaves nothing behind', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    const server = idle(t);
    const listening = assert.rejects(server.listen({ path }), { code: 'NBDCORK_CLOSED' });
    await server.close();
    await listening;
    assert.deepEqual(server.addresses, []);
    await assert.rejects(access(path));
  });
});

describe('uri()', () => {
  test('leads to the first place, and to the export', async (t) => {
    const path = join(await temporaryFolder(t), 'socket');
    const server = await idle(t).listen({ path });
    await server.listen({ port: 0 });
    assert.equal(server.uri(), `nbd+unix:///?socket=${path}`);
    assert.equal(server.uri('other'), `nbd+unix:///other?socket=${path}`);
  });

  test('has the port that was chosen', async (t) => {
    const server = await idle(t).listen({ port: 0 });
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'port' in address && address.port > 0);
    assert.equal(server.uri(), `nbd://127.0.0.1:${address.port}`);
  });

  test('has the TLS scheme for a default export that requires TLS', async (t) => {
    const server = createServer({
      exports: { secret: { backend: new BufferDisk(content), tls: 'require' } },
      defaultExport: 'secret',
      tls: { preSharedKeys: new Map([['alice', Buffer.alloc(32)]]) },
    });
    t.after(() => server.close());
    await server.listen({ port: 0 });
    assert.match(server.uri(), /^nbds:/);
    assert.match(server.uri('secret'), /^nbds:/);
    assert.match(server.uri('other'), /^nbd:/);
  });

  test('of a server that does not listen is refused', (t) => {
    const server = idle(t);
    assert.throws(() => server.uri(), { code: 'NBDCORK_NOT_LISTENING' });
  });
});

describe('connectionsMax', () => {
  test('closes further connections at once, and serves later ones', async (t) => {
    const {
      server,
      connect: connectOne,
      open,
    } = await startServer(t, {
      exports,
      limits: { connectionsMax: 2 },
    });
    const clients = [await open(), await open()];
    const refused = await connectOne();
    assert.equal((await refused.closed).length, 0);
    assert.equal(server.connectionCount, 2);
    for (const client of clients) await client.call({ type: cmd.flush });
    clients[0]?.stream.destroy();
    await until(() => server.connectionCount === 1);
    const later = await open();
    await later.call({ type: cmd.flush });
  });

  test('counts clients that reset, while a backend works on their requests', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(4096));
    const limits = { connectionsMax: 3 };
    const logger = new Log();
    const slow = await startServer(t, { exports: { '': disk }, limits, logger }, 'TCP');
    for (let count = 1; count <= limits.connectionsMax; count++) {
      const client = await slow.open();
      client.request({ type: cmd.write, payload: Buffer.alloc(512) });
      await disk.callsStarted(count);
      reset(client);
    }
    await until(() => slow.server.connectionCount === 0);
    assert.equal((await (await slow.connect()).closed).length, 0);
    assert.match(
      logger.shown.at(-1)?.message ?? '',
      /limit of 3 connections reached, 3 of them closed/,
    );
    disk.finish();
    const later = await slow.open();
    assert.equal((await (await slow.connect()).closed).length, 0);
    disk.release();
    assert.equal((await later.call({ type: cmd.flush })).error, 0);
    await (await slow.open()).call({ type: cmd.flush });
  });

  for (const [what, options] of Object.entries({
    'whose export is being opened': { exports: { '': { backend: never, perConnection: true } } },
    'whose export is being found': { exports: { find: never } },
    'whose access check is running': { exports, allow: never },
  })) {
    test(`counts clients that reset and ${what}`, async (t) => {
      const limits = { connectionsMax: 1, shutdownTimeoutMs: 100 };
      // Nothing but a backend that is being opened is waited for.
      const expectCloseError =
        what === 'whose export is being opened' ? 'NBDCORK_SHUTDOWN_TIMEOUT' : undefined;
      const slow = await startServer(t, { ...options, limits }, 'TCP', { expectCloseError });
      const client = await slow.connect();
      // The greeting may have to wait for the rule.
      client.send(Buffer.from([0, 0, 0, 3]), optionBytes(opt.go, goData('')));
      for (let count = 0; count < 10; count++) await eventLoopTurn();
      reset(client);
      await until(() => slow.server.connectionCount === 0);
      assert.equal((await (await slow.connect()).closed).length, 0);
    });
  }

  test('runs no access check for further clients', async (t) => {
    let asked = 0;
    const allow = (): Promise<boolean> =>
      asked++ === 0 ? Promise.resolve(true) : Promise.reject(new Error('the database is gone'));
    const { connect: connectOne } = await startServer(t, {
      exports,
      allow,
      limits: { connectionsMax: 1 },
    });
    await (await connectOne()).greet();
    assert.equal((await (await connectOne()).closed).length, 0);
    assert.equal(asked, 1);
  });
});
