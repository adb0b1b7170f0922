/** Which clients are disconnected for being idle, and what they see of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { MemoryBackend, type Backend, type Limits } from '../../lib/index.js';
import { requestBytes, type ByteClient } from '../support/byte-client.js';
import { Log } from '../support/log.js';
import { cmd } from '../support/numbers.js';
import {
  connectionKinds,
  startServer,
  until,
  type ConnectionKind,
  type TestServer,
} from '../support/server.js';
import { preSharedKey, startTls } from '../support/tls.js';

const idleTimeoutMs = 200;

interface IdleServer extends TestServer {
  readonly log: Log;
}

async function startIdleServer(
  t: TestContext,
  kind: ConnectionKind,
  backend: Backend = new MemoryBackend(2 ** 20),
  limits: Partial<Limits> = {},
): Promise<IdleServer> {
  const log = new Log();
  const options = { exports: { '': backend }, limits: { idleTimeoutMs, ...limits }, logger: log };
  return { ...(await startServer(t, options, kind)), log };
}

/** Call `act` for a while that is longer than the timeout, more often than that. */
async function actFor(rounds: number, act: (round: number) => unknown): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await act(round);
    // The test is about the time that passes.
    await setTimeout(idleTimeoutMs / 4);
  }
}

function read(client: ByteClient): Promise<unknown> {
  return client.call({ type: cmd.read, length: 512 });
}

for (const kind of connectionKinds) {
  describe(`idleTimeoutMs, on ${kind}`, () => {
    test('disconnects a client that sends no requests, without an error', async (t) => {
      const { server, open, log } = await startIdleServer(t, kind);
      const client = await open();
      await read(client);
      const ended = once(client.stream, 'end');
      await until(() => server.connectionCount === 0);
      await ended;
      assert.equal((await client.closed).length, 0);
      assert.equal(server.connectionsTimedOut, 1);
      assert.deepEqual(
        log.shown.map(({ level, message, details }) => [level, message, details['code']]),
        [
          [
            'warn',
            'connection closed: The client has sent nothing for 200 ms.',
            'NBDCORK_CLIENT_IDLE',
          ],
        ],
      );
    });

    test('leaves those that send a request now and then', async (t) => {
      const { server, open } = await startIdleServer(t, kind);
      const client = await open();
      await actFor(10, () => read(client));
      assert.equal(server.connectionCount, 1);
    });

    test('leaves those that wait for a reply', async (t) => {
      const slow: Backend = {
        size: 2 ** 20,
        read: (_offset, length) => setTimeout(idleTimeoutMs * 3, new Uint8Array(length)),
      };
      const { open } = await startIdleServer(t, kind, slow);
      await read(await open());
    });

    for (const [what, payload] of [
      ['a request', undefined],
      ['a payload', Buffer.alloc(12, 1)],
    ] as const) {
      test(`leaves those of which ${what} arrives slowly`, async (t) => {
        const { open } = await startIdleServer(t, kind);
        const client = await open();
        const { cookie, ...request } = client.expectReply(
          payload === undefined
            ? { type: cmd.read, length: 512 }
            : { type: cmd.write, length: payload.length, payload },
        );
        const bytes = requestBytes('simple', { ...request, cookie });
        const tail = bytes.subarray(-12);
        client.send(bytes.subarray(0, -12));
        await actFor(tail.length, (round) => {
          client.send(tail.subarray(round, round + 1));
        });
        const reply = await client.reply();
        assert.deepEqual([reply.cookie, reply.error], [cookie, 0]);
      });
    }

    for (const [what, bytes] of [
      ['a header', requestBytes('simple', { type: cmd.read, length: 512 }).subarray(0, 20)],
      ['a payload', requestBytes('simple', { type: cmd.write, length: 2 ** 19 })],
    ] as const) {
      test(`disconnects a client that does not send the rest of ${what}`, async (t) => {
        const { server, open } = await startIdleServer(t, kind);
        const client = await open();
        client.send(bytes);
        await until(() => server.connectionCount === 0);
        await client.closed;
        assert.equal(server.connectionsTimedOut, 1);
      });
    }
  });
}

test('idle clients keep others away for idleTimeoutMs only', async (t) => {
  const limits = { connectionsMax: 20 };
  const { server, open, connect, log } = await startIdleServer(t, 'TCP', undefined, limits);
  const idle = await Promise.all(Array.from({ length: limits.connectionsMax }, () => open()));
  const refused = await connect();
  await refused.closed;
  assert.equal(server.connectionsRefused, 1);
  assert.ok(
    log.entries.some(({ message }) =>
      message.includes('connection refused: limit of 20 connections reached'),
    ),
  );
  await Promise.all(idle.map(({ closed }) => closed));
  await read(await open());
});

test('idle clients stay connected by default', async (t) => {
  const { open } = await startIdleServer(t, 'TCP', undefined, { idleTimeoutMs: 0 });
  const client = await open();
  await setTimeout(idleTimeoutMs * 2);
  await read(client);
});

test('a client of TLS is disconnected by the end of TLS', async (t) => {
  const key = Buffer.alloc(32, 7);
  const { server, connect } = await startServer(t, {
    exports: { '': new MemoryBackend(2 ** 20) },
    limits: { idleTimeoutMs },
    tls: { preSharedKeys: new Map([['alice', key]]) },
  });
  const plain = await connect();
  await plain.greet();
  const client = await startTls(plain, preSharedKey('alice', key, 'TLSv1.3'));
  await client.negotiate();
  await actFor(10, () => read(client));
  assert.equal(server.connectionCount, 1);
  const ended = once(client.stream, 'end');
  await until(() => server.connectionCount === 0);
  await ended;
  await client.closed;
  assert.equal(server.connectionsTimedOut, 1);
});
