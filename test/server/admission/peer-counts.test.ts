/** How many connections one client may have. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { MemoryBackend, type NbdServer } from '../../../lib/index.js';
import { PeerCounts, peerOf } from '../../../lib/server/admission/peer-counts.js';
import { addon } from '../../../lib/native/load.js';
import { ByteClient } from '../../support/byte-client.js';
import { Log } from '../../support/log.js';
import { startServer, until } from '../../support/server.js';

const connectionsPerPeerMax = 2;

function options(log = new Log()) {
  return {
    exports: { '': new MemoryBackend(4096) },
    limits: { connectionsPerPeerMax },
    logger: log,
  };
}

async function connectTo(
  t: TestContext,
  where: Pick<TcpNetConnectOpts, 'port' | 'host' | 'localAddress'>,
): Promise<{ socket: Socket; client: ByteClient }> {
  const socket = connect(where);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return { socket, client: new ByteClient(socket) };
}

async function isRefused(server: NbdServer, { closed }: ByteClient): Promise<void> {
  const before = server.connectionsRefused;
  assert.equal((await closed).length, 0);
  assert.ok(server.connectionsRefused >= Math.max(1, before));
}

describe('connectionsPerPeerMax', () => {
  test('refuses further connections of an address, and of no other', async (t) => {
    const log = new Log();
    const { server } = await startServer(t, options(log), 'TCP');
    const [address] = server.addresses;
    assert.ok(address !== undefined && 'port' in address);
    const { port } = address;
    const first = await connectTo(t, { port, host: '127.0.0.1' });
    await first.client.open();
    await (await connectTo(t, { port, host: '127.0.0.1' })).client.open();
    await isRefused(server, (await connectTo(t, { port, host: '127.0.0.1' })).client);
    assert.equal(server.connectionsRefused, 1);
    assert.deepEqual(
      log.entries.filter(({ level }) => level === 'warn').map(({ message }) => message),
      ['connection refused: limit of 2 connections of address 127.0.0.1 reached'],
    );
    if (process.platform === 'linux') {
      const other = { port, host: '127.0.0.1', localAddress: '127.0.0.2' };
      await (await connectTo(t, other)).client.open();
    }
    const { connectionCount } = server;
    first.socket.destroy();
    await until(() => server.connectionCount < connectionCount);
    await (await connectTo(t, { port, host: '127.0.0.1' })).client.open();
  });

  test('counts a client of IPv4 on a socket of IPv6 too', async (t) => {
    const { server } = await startServer(t, options(), 'TCP');
    try {
      await server.listen({ host: '::', port: 0 });
    } catch {
      t.skip('needs IPv6');
      return;
    }
    const ports = server.addresses.map((address) => ('port' in address ? address.port : 0));
    const [ipv4 = 0, ipv6 = 0] = ports;
    for (const port of [ipv4, ipv6]) {
      await (await connectTo(t, { port, host: '127.0.0.1' })).client.open();
    }
    await isRefused(server, (await connectTo(t, { port: ipv6, host: '127.0.0.1' })).client);
    await (await connectTo(t, { port: ipv6, host: '::1' })).client.open();
  });

  test('refuses further connections of a user', async (t) => {
    const log = new Log();
    const { server, open, connect: connectOne } = await startServer(t, options(log));
    for (let count = 0; count < connectionsPerPeerMax; count++) await open();
    if (addon === undefined) {
      await open();
      return;
    }
    await isRefused(server, await connectOne());
    const user = process.getuid?.() ?? 0;
    assert.equal(
      log.entries.at(-1)?.message,
      `connection refused: limit of 2 connections of user ${user} reached`,
    );
  });

  test('does not apply to streams', async (t) => {
    const { open } = await startServer(t, options(), 'duplex');
    for (let count = 0; count <= connectionsPerPeerMax; count++) await open();
  });
});

test('peers are told apart by address, or by user', () => {
  assert.equal(peerOf({ kind: 'tcp', address: '::ffff:192.0.2.1', port: 5 }), 'address 192.0.2.1');
  assert.equal(peerOf({ kind: 'tcp', address: '2001:db8::1', port: 5 }), 'address 2001:db8::1');
  assert.equal(peerOf({ kind: 'unix', uid: 1000, gid: 7, pid: 9 }), 'user 1000');
  assert.equal(peerOf({ kind: 'unix' }), undefined);
  assert.equal(peerOf({ kind: 'stream' }), undefined);
});

test('peers without connections take no memory', () => {
  const counts = new PeerCounts();
  counts.add('a');
  counts.add('a');
  counts.add('b');
  counts.remove('a');
  counts.remove('b');
  assert.deepEqual([counts.of('a'), counts.of('b'), counts.size], [1, 0, 1]);
});
