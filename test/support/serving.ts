/** Servers for tests, and clients of them over every kind of connection. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { codeOf } from '../../lib/errors.js';
import { createServer, type NbdServer, type ServerOptions } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { ByteClient, type Headers } from './byte-client.js';
import { temporaryFolder } from './folder.js';

export const places = ['Unix', 'TCP', 'duplex'] as const;
export type Place = (typeof places)[number];

export interface Serving {
  readonly server: NbdServer;
  /** Another client, before the greeting. It is gone after the test. */
  readonly connect: () => Promise<ByteClient>;
  /** Another client in the transmission phase. */
  readonly open: (headers?: Headers, name?: string) => Promise<ByteClient>;
}

export async function serve(
  t: TestContext,
  options: ServerOptions,
  place: Place = 'Unix',
): Promise<Serving> {
  const server = createServer(options);
  const clients: ByteClient[] = [];
  t.after(async () => {
    for (const client of clients) client.stream.destroy();
    // Some tests have a backend that is given up, and have seen that it was.
    await server.close().catch((error: unknown) => {
      if (codeOf(error) !== 'NBDCORK_SHUTDOWN_TIMEOUT') throw error;
    });
  });
  if (place === 'Unix') await server.listen({ path: join(await temporaryFolder(t), 'socket') });
  if (place === 'TCP') await server.listen({ port: 0 });
  const connectOne = async (): Promise<ByteClient> => {
    const client = place === 'duplex' ? duplexClient(server) : await socketClient(server);
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
  // The server's end is the end: what was to be seen half open has been seen by then.
  socket.on('end', () => socket.end());
  return new ByteClient(socket);
}

function duplexClient(server: NbdServer): ByteClient {
  const [near, far] = duplexPair();
  // As when one end of a socket is closed: what was sent before can still be read.
  far.on('close', () => {
    if (!far.writableFinished) near.destroy();
  });
  near.on('close', () => far.destroy());
  void server.serve(far);
  return new ByteClient(near);
}

/** Turns of the event loop until something holds that no event tells of. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** A turn of the event loop: what has arrived is read, which is between two immediates. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
