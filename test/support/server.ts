/** Servers for tests, and their clients over every kind of connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createServer, type NbdServer, type ServerOptions } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { ByteClient, type Headers } from './byte-client.js';
import { temporaryFolder } from './folder.js';

export const connectionKinds = ['Unix', 'TCP', 'duplex'] as const;
export type ConnectionKind = (typeof connectionKinds)[number];

export interface TestServer {
  readonly server: NbdServer;
  /** Connect another client, before the greeting. It is destroyed after the test. */
  readonly connect: () => Promise<ByteClient>;
  /** Connect another client, and enter the transmission phase. */
  readonly open: (headers?: Headers, name?: string) => Promise<ByteClient>;
}

export interface StartServerOptions {
  /**
   * The code with which closing the server has to fail, because the test leaves a
   * backend or a stream unfinished, or its backend cannot be flushed. Without it,
   * closing has to succeed.
   */
  readonly expectCloseError?: 'NBDCORK_SHUTDOWN_TIMEOUT' | 'NBDCORK_DATA_LOST' | undefined;
}

/** A server that listens; it is closed after the test, which fails where that fails. */
export async function startServer(
  t: TestContext,
  options: ServerOptions,
  kind: ConnectionKind = 'Unix',
  { expectCloseError: code }: StartServerOptions = {},
): Promise<TestServer> {
  const server = createServer(options);
  const clients: ByteClient[] = [];
  t.after(async () => {
    for (const client of clients) client.stream.destroy();
    const closed = server.close();
    if (code === undefined) await closed;
    else await assert.rejects(closed, { code });
  });
  if (kind === 'Unix') await server.listen({ path: join(await temporaryFolder(t), 'socket') });
  if (kind === 'TCP') await server.listen({ port: 0 });
  const connectOne = async (): Promise<ByteClient> => {
    const client = kind === 'duplex' ? duplexClient(server) : await socketClient(server);
    clients.push(client);
    return client;
  };
  return {
    server,
    connect: connectOne,
    open: async (headers, name) => {
      const client = await connectOne();
      await client.open(headers, name);
      return client;
    },
  };
}

async function socketClient(server: NbdServer): Promise<ByteClient> {
  const [address] = server.addresses;
  if (address === undefined) throw new Error('the server does not listen');
  const socket = connect({ ...address, allowHalfOpen: true });
  socket.setNoDelay(true);
  await once(socket, 'connect');
  // Half open until the server ends: tests observe what it still sends.
  socket.on('end', () => socket.end());
  return new ByteClient(socket);
}

function duplexClient(server: NbdServer): ByteClient {
  const [near, far] = duplexPair();
  // As with a socket whose peer has closed: what was sent before can still be read.
  far.on('close', () => {
    if (!far.writableFinished) near.destroy();
  });
  near.on('close', () => far.destroy());
  void server.serve(far);
  return new ByteClient(near);
}

/** Wait for a condition that no event announces, one turn of the event loop at a time. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await eventLoopTurn();
}

/** A whole turn of the event loop, in which bytes that have arrived are read. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
