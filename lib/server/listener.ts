import { fstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ListenOptions as NetListenOptions, Server, Socket } from 'node:net';
import { codeOf, messageOf, NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import { peerCredentials } from '../sockets/peer.js';
import { UnixPath, unixPathBytesMax } from '../sockets/unix-path.js';
import { defaultPort } from '../wire/constants.js';
import type { Address } from '../wire/uri.js';
import type { ListenOptions } from './options.js';

/** Connections that the kernel queues while the server is busy. */
const listenBacklog = 1024;

/** A server that listens. */
export interface Listening {
  readonly address: Address;
  /** Removes the file of its Unix socket. Does nothing for other sockets. */
  readonly release: () => void;
}

/**
 * Starts listening. Replaces the file of a Unix socket that no server uses.
 * @throws NbdError `NBDCORK_LISTEN` with the cause.
 */
export async function listen(server: Server, where: ListenOptions): Promise<Listening> {
  if ('path' in where) return listenAtPath(server, where.path);
  const options =
    'fd' in where ? where : { port: where.port ?? defaultPort, host: where.host ?? '127.0.0.1' };
  await startListening(server, options).catch((cause: unknown) => {
    throw cannotListen(where, cause);
  });
  return { address: await addressOf(server, where), release: () => undefined };
}

/** One server at a time has the path, from before it listens until it stops. */
async function listenAtPath(server: Server, path: string): Promise<Listening> {
  checkLength({ path });
  const claimed = await UnixPath.claim(path).catch((cause: unknown) => {
    throw cannotListen({ path }, cause);
  });
  try {
    await startListening(server, { path: claimed.bindPath });
    await claimed.publish();
  } catch (cause) {
    server.close();
    claimed.release();
    throw cannotListen({ path }, cause);
  }
  return {
    address: { path },
    release: () => {
      claimed.release();
    },
  };
}

function startListening(
  server: Server,
  options: NetListenOptions | { readonly fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, backlog: listenBacklog }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Node.js would truncate a longer path, and listen there. */
function checkLength(where: { readonly path: string }): void {
  if (Buffer.byteLength(where.path) <= unixPathBytesMax) return;
  const cause = new Error(
    `The path of a Unix socket has at most ${unixPathBytesMax} bytes: choose a shorter one.`,
  );
  throw cannotListen(where, cause);
}

async function addressOf(
  server: Server,
  where: Exclude<ListenOptions, { path: string }>,
): Promise<Address> {
  const address = server.address();
  if (typeof address === 'string') return { path: address };
  if (address !== null) return { host: address.address, port: address.port };
  // Node.js knows the path of a Unix socket only if it has bound it.
  const path = 'fd' in where ? await boundPath(where.fd) : undefined;
  if (path !== undefined) return { path };
  server.close();
  throw new NbdError('NBDCORK_LISTEN', 'The inherited socket has no address: bind it first.');
}

/** proc(5), "/proc/net/unix": the last two columns are the inode and the path; '@' is a NUL. */
async function boundPath(fd: number): Promise<string | undefined> {
  const inode = fstatSync(fd).ino;
  const table = await readFile('/proc/net/unix', 'utf8');
  const path = new RegExp(`^(?:\\S+ +){6}${inode} (.+)$`, 'm').exec(table)?.[1];
  return path?.replace(/^@/, '\0');
}

function cannotListen(where: ListenOptions, cause: unknown): NbdError {
  const place =
    'path' in where
      ? where.path
      : 'fd' in where
        ? `descriptor ${where.fd}`
        : `${where.host ?? '127.0.0.1'} port ${where.port ?? defaultPort}`;
  const kind = 'path' in where ? 'path' : 'fd' in where ? 'descriptor' : 'tcp';
  const advice = adviceOn(cause, kind);
  return new NbdError('NBDCORK_LISTEN', `Cannot listen on ${place}. ${advice}`, cause);
}

function adviceOn(cause: unknown, kind: 'path' | 'descriptor' | 'tcp'): string {
  const code = codeOf(cause);
  if (kind === 'descriptor' && (code === 'EINVAL' || code === 'ENOTSOCK')) {
    return 'It must be a bound stream socket that is not connected.';
  }
  switch (code) {
    case 'EADDRINUSE':
      return kind === 'path'
        ? 'Another server is listening there, or the file is not a socket: choose another path.'
        : 'Another server is listening there: stop it or choose another address or port.';
    case 'ENOENT':
    case 'EACCES':
      // libuv reports a missing folder as EACCES too.
      return kind === 'path'
        ? 'The folder does not exist or is not writable: choose another path.'
        : 'Ports below 1024 need root on most systems: choose another port.';
    case 'EADDRNOTAVAIL':
      return 'No network interface has that address: choose one that "ip address" lists.';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'Unknown host: use an address of this machine.';
    default:
      return messageOf(cause);
  }
}

/** The client of an accepted socket. Undefined if it reset the connection before it was accepted. */
export function clientOf(socket: Socket, server: Server): Client | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) {
    return { kind: 'tcp', address: remoteAddress, port: remotePort ?? 0 };
  }
  // An inherited Unix socket has no address in Node.js.
  const address = server.address();
  const listensOnTcp = typeof address === 'object' && address !== null;
  return listensOnTcp ? undefined : { kind: 'unix', ...peerCredentials(socket) };
}
