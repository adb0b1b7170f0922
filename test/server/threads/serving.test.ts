/** Several threads serve the same disks, as one server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openSource, type Allow, type Client } from '../../../lib/index.js';
import { withoutAddon } from '../../native/support/native.js';
import { goData } from '../../support/byte-client.js';
import { pattern } from '../../support/disks.js';
import { cmd, cmdFlag, err, opt, rep } from '../../support/numbers.js';
import { Log } from '../../support/log.js';
import { startServer, until } from '../../support/server.js';
import { createAuthority, issueCertificate, startTls } from '../../support/tls.js';
import { diskBytes, disks, newFile, watchThreads } from './support/threads.js';

const threads = 2;

for (const kind of ['Unix', 'TCP'] as const) {
  for (const [name, openDisk] of Object.entries(disks)) {
    describe(`two threads with ${name} on ${kind}`, { skip: withoutAddon }, () => {
      test('each see what the other has written', async (t) => {
        const workers = watchThreads(t);
        const exports = { '': await openDisk(t) };
        const { server, open } = await startServer(t, { exports, threads }, kind);
        assert.equal(workers.length, threads);
        const [first, second] = [await open('structured'), await open('extended')];
        assert.equal(server.connectionCount, 2);
        assert.equal(server.transports.length, 0, 'this thread serves none');
        const pages = 16;
        for (const [writer, reader, seed] of [
          [first, second, 1],
          [second, first, 2],
        ] as const) {
          for (let page = 0; page < pages; page++) {
            const payload = pattern(4096, seed * pages + page);
            const offset = page * 8192;
            assert.equal((await writer.call({ type: cmd.write, offset, payload })).error, 0);
            const { data } = await reader.call({ type: cmd.read, offset, length: 4096 });
            assert.deepEqual(data, payload);
          }
          assert.equal((await reader.call({ type: cmd.flush })).error, 0);
        }
        const hole = { type: cmd.writeZeroes, offset: 0, length: diskBytes };
        assert.equal((await first.call(hole)).error, 0);
        const { data } = await second.call({ type: cmd.read, length: diskBytes });
        assert.deepEqual(data, Buffer.alloc(diskBytes));
      });

      test('take connections in turn, and count them together', async (t) => {
        const exports = { '': await openDisk(t) };
        const limits = { connectionsMax: 3 };
        const log = new Log();
        const { server, open, connect } = await startServer(
          t,
          { exports, threads, limits, logger: log },
          kind,
        );
        const clients = [await open(), await open(), await open()];
        const refused = await connect();
        assert.equal((await refused.closed).length, 0);
        assert.equal(server.connectionsRefused, 1);
        await log.find(({ message }) => message.includes('limit of 3 connections reached'));
        clients[0]?.stream.destroy();
        await until(() => server.connectionCount === 2);
        // The work of a closed connection may still be in progress, and count.
        let greeted = false;
        while (!greeted) {
          const client = await connect();
          greeted = await client.greet().then(
            () => true,
            () => false,
          );
        }
        assert.equal(server.connectionCount, 3);
      });
    });
  }
}

describe('what holds across threads', { skip: withoutAddon }, () => {
  test('a large write and read keep their bytes', async (t) => {
    const exports = { '': await openSource(await newFile(t)) };
    const { open } = await startServer(t, { exports, threads });
    const [first, second] = [await open(), await open()];
    const payload = pattern(diskBytes);
    const flags = cmdFlag.fua;
    assert.equal((await first.call({ type: cmd.write, flags, payload })).error, 0);
    assert.deepEqual((await second.call({ type: cmd.read, length: diskBytes })).data, payload);
  });

  test('exports may have names of members of every object', async (t) => {
    const disk = await openSource(await newFile(t));
    const exports = Object.fromEntries(['__proto__', 'constructor'].map((name) => [name, disk]));
    const { open } = await startServer(t, { exports, threads });
    for (const name of Object.keys(exports)) {
      const client = await open('simple', name);
      assert.equal((await client.call({ type: cmd.read, length: 1 })).error, 0);
    }
  });

  test('access rules are asked in the thread of the server, with the client', async (t) => {
    const clients: Client[] = [];
    const asked: (string | undefined)[] = [];
    const allow: Allow = (client, exportName) => {
      clients.push(client);
      asked.push(exportName);
      return exportName !== 'secret';
    };
    const disk = await openSource(await newFile(t));
    const exports = { open: disk, secret: disk };
    const { open, connect } = await startServer(t, { exports, threads, allow }, 'TCP');
    await open('simple', 'open');
    const other = await connect();
    await other.greet();
    const replies = await other.option(opt.go, goData('secret'));
    assert.equal(replies.at(-1)?.type, rep.errPolicy);
    assert.deepEqual(asked, [undefined, 'open', undefined, 'secret']);
    for (const { kind, address } of clients)
      assert.deepEqual([kind, address], ['tcp', '127.0.0.1']);
  });

  test('a client that the rules deny is closed, and counted', async (t) => {
    const exports = { '': await openSource(await newFile(t)) };
    const log = new Log();
    const { server, connect } = await startServer(t, {
      exports,
      threads,
      allow: () => false,
      logger: log,
    });
    assert.equal((await (await connect()).closed).length, 0);
    await until(() => server.connectionCount === 0 && server.connectionsRefused === 1);
    await log.find(({ message }) => message === 'connection refused: access denied');
  });

  test('the log has the lines of all threads, with codes', async (t) => {
    const exports = { '': await openSource(await newFile(t)) };
    const log = new Log();
    const limits = { handshakeTimeoutMs: 20 };
    const { server, connect } = await startServer(t, { exports, threads, logger: log, limits });
    for (let count = 0; count < threads; count++) assert.ok(await (await connect()).closed);
    await until(() => server.connectionsTimedOut === threads);
    const late = log.entries.filter(
      ({ details }) => details['code'] === 'NBDCORK_HANDSHAKE_TIMEOUT',
    );
    assert.deepEqual(
      late.map(({ level }) => level),
      ['warn', 'warn'],
    );
  });

  test('each has a TLS context of its own', async (t) => {
    const authority = await createAuthority();
    const { key, cert } = await issueCertificate(authority, 'server');
    const exports = { '': await openSource(await newFile(t)) };
    const tls = { mode: 'require', key, certificate: Buffer.from(cert) } as const;
    const { connect } = await startServer(t, { exports, threads, tls }, 'TCP');
    const payload = pattern(100_000);
    for (let count = 0; count < threads; count++) {
      const plain = await connect();
      await plain.greet();
      const client = await startTls(plain, { ca: authority.cert });
      await client.negotiate();
      if (count === 0) assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
      const { data } = await client.call({ type: cmd.read, length: payload.length });
      assert.deepEqual(data, payload);
    }
  });

  test('a read-only memory disk is zeros on all', async (t) => {
    const disk = await openSource(`memory:${diskBytes}`, { readOnly: true });
    const { open } = await startServer(t, { exports: { '': disk }, threads });
    for (let count = 0; count < threads; count++) {
      const client = await open();
      assert.equal(
        (await client.call({ type: cmd.write, payload: Buffer.alloc(1) })).error,
        err.EPERM,
      );
      assert.deepEqual((await client.call({ type: cmd.read, length: 9 })).data, Buffer.alloc(9));
    }
  });

  test('a stream given to serve() sees the same disk', async (t) => {
    const exports = { '': await openSource(`memory:${diskBytes}`, { shared: true }) };
    const { server, open } = await startServer(t, { exports, threads }, 'duplex');
    const near = await open();
    await server.listen({ port: 0 });
    const payload = pattern(4096);
    assert.equal((await near.call({ type: cmd.write, payload })).error, 0);
    assert.deepEqual((await near.call({ type: cmd.read, length: 4096 })).data, payload);
  });
});
