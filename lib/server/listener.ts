import { fstatSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { connect, type Server, type Socket } from 'node:net';
import { codeOf, messageOf, NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import { peerCredentials } from '../sockets/peer.js';
import { defaultPort } from '../wire/constants.js';
import type { Address } from '../wire/uri.js';
import type { ListenOptions } from './options.js';

/** Capacity of `sockaddr_un`, less the final NUL. */
const pathBytesMax = process.platform === 'linux' ? 107 : 103;

/** Connections that the kernel queues while the server is busy. */
const listenBacklog = 1024;

/**
 * Starts listening. Replaces the file of a Unix socket on which no server listens.
 * @throws NbdError `NBDCORK_LISTEN` with the cause.
 */
export async function listen(server: Server, where: ListenOptions): Promise<Address> {
  if ('path' in where) {
    checkLength(where);
    await removeStaleSocket(where.path);
  }
  const options =
    'path' in where || 'fd' in where
      ? where
      : { port: where.port ?? defaultPort, host: where.host ?? '127.0.0.1' };
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      reject(cannotListen(where, cause));
    };
    server.once('error', fail);
    try {
      server.listen({ ...options, backlog: listenBacklog }, () => {
        server.off('error', fail);
        resolve();
      });
    } catch (cause) {
      fail(cause);
    }
  });
  return addressOf(server, where);
}

/** Node.js would truncate a longer path, and listen there. */
function checkLength(where: { readonly path: string }): void {
  if (Buffer.byteLength(where.path) <= pathBytesMax) return;
  const cause = new Error(
    `The path of a Unix socket has at most ${pathBytesMax} bytes: choose a shorter one.`,
  );
  throw cannotListen(where, cause);
}

async function addressOf(server: Server, where: ListenOptions): Promise<Address> {
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

async function removeStaleSocket(path: string): Promise<void> {
  if (path.startsWith('\0')) return;
  // If the file cannot be examined, listening reports the reason.
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isSocket() !== true) return;
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => {
      resolve(codeOf(error) !== 'ECONNREFUSED');
    });
  });
  if (alive) return;
  await rm(path, { force: true }).catch((cause: unknown) => {
    throw cannotListen({ path }, cause);
  });
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
