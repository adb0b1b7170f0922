import { rm, stat } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { defaultPort } from '../wire/constants.js';
import type { Address } from '../wire/uri.js';
import type { ListenOptions } from './options.js';

/** Connections that the kernel keeps for us while we are busy. */
const backlog = 1024;
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
      server.listen({ ...options, backlog }, () => {
        server.off('error', fail);
        resolve();
      });
    } catch (cause) {
      fail(cause);
    }
  });
  return addressOf(server);
}

/** Node would cut a path that is too long, and listen elsewhere. */
function checkLength(where: { readonly path: string }): void {
  if (Buffer.byteLength(where.path) <= pathBytesMax) return;
  const cause = new Error(
    `A Unix socket's path has at most ${pathBytesMax} bytes: choose another.`,
  );
  throw cannotListen(where, cause);
}

function addressOf(server: Server): Address {
  const address = server.address();
  if (address === null) throw new NbdError('NBDCORK_LISTEN', 'The socket has no address.');
  if (typeof address === 'string') return { path: address };
  return { host: address.address, port: address.port };
}

async function removeStaleSocket(path: string): Promise<void> {
  if (path.startsWith('\0')) return;
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
  if (!alive) await rm(path, { force: true });
}

function cannotListen(where: ListenOptions, cause: unknown): NbdError {
  const place =
    'path' in where
      ? where.path
      : 'fd' in where
        ? `descriptor ${where.fd}`
        : `${where.host ?? '127.0.0.1'} port ${where.port ?? defaultPort}`;
  const advice =
    codeOf(cause) === 'EADDRINUSE'
      ? 'Another server listens there: stop it or choose another place.'
      : messageOf(cause);
  return new NbdError('NBDCORK_LISTEN', `Cannot listen on ${place}. ${advice}`, cause);
}
