import { fstatSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { listenBacklog } from '../limits.js';
import { defaultPort } from '../wire/constants.js';
import type { Address } from '../wire/uri.js';
import type { ListenOptions } from './options.js';

/** What `sockaddr_un` has room for, less a final NUL. */
const pathBytesMax = process.platform === 'linux' ? 107 : 103;

/**
 * Start to listen. A Unix socket's file that nobody listens on is replaced.
 * @throws NbdError `NBDCORK_LISTEN` with the cause and what to do.
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

/** Node would cut a path that is too long, and listen elsewhere. */
function checkLength(where: { readonly path: string }): void {
  if (Buffer.byteLength(where.path) <= pathBytesMax) return;
  const cause = new Error(
    `A Unix socket's path has at most ${pathBytesMax} bytes: choose another.`,
  );
  throw cannotListen(where, cause);
}

async function addressOf(server: Server, where: ListenOptions): Promise<Address> {
  const address = server.address();
  if (typeof address === 'string') return { path: address };
  if (address !== null) return { host: address.address, port: address.port };
  // Node knows the path of a Unix socket only where it bound it itself.
  const path = 'fd' in where ? await boundPath(where.fd) : undefined;
  if (path !== undefined) return { path };
  server.close();
  throw new NbdError('NBDCORK_LISTEN', 'The listening socket has no address: bind it first.');
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
  // Where nothing can be found out about the file, listening itself says why not.
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
    return 'It must be a stream socket that is bound and not connected: see who passes it.';
  }
  switch (code) {
    case 'EADDRINUSE':
      return kind === 'path'
        ? 'Another server listens there, or the file is no socket: choose another place.'
        : 'Another server listens there: stop it or choose another place.';
    case 'EACCES':
      // libuv says so of a folder that does not exist, too.
      return kind === 'path'
        ? 'The folder does not exist, or may not be written: choose another place.'
        : "Ports below 1024 are root's on most systems: choose another one.";
    case 'EADDRNOTAVAIL':
      return 'No interface of this machine has that address: choose one that "ip address" shows.';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'There is no host of that name: give an address of this machine.';
    default:
      return messageOf(cause);
  }
}
