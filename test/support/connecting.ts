import { once } from 'node:events';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { ByteClient } from './byte-client.js';

/** Connect to a URI that a server has printed. */
export async function connectTo(t: TestContext, uri: string): Promise<ByteClient> {
  const { protocol, hostname, port, searchParams } = new URL(uri);
  const socket =
    protocol === 'nbd+unix:'
      ? connect(searchParams.get('socket') ?? '')
      : connect(port === '' ? 10809 : Number(port), hostname.replace(/^\[|\]$/g, ''));
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return new ByteClient(socket);
}

export interface Opened {
  readonly client: ByteClient;
  readonly size: number;
  readonly flags: number;
}

/** Connect, and enter the transmission phase of the URI's export. */
export async function openExport(t: TestContext, uri: string): Promise<Opened> {
  const client = await connectTo(t, uri);
  const name = decodeURIComponent(new URL(uri).pathname.slice(1));
  const { size, flags } = await client.open('simple', name);
  return { client, size: Number(size), flags };
}
