/** Pairs of sockets for timing what sends, of which one end is read by hand. */
import { once } from 'node:events';
import { readSync } from 'node:fs';
import { connect, createServer, type ListenOptions, type Socket } from 'node:net';
import { join } from 'node:path';
import { codeOf, NbdError } from '../../lib/errors.js';
import { descriptorOf } from '../../lib/sockets/handle.js';

export interface Pair {
  readonly near: Socket;
  readonly fd: number;
  /** Read everything that was sent. */
  readonly drain: () => void;
  readonly close: () => void;
}

export function unixPair(folder: string): Promise<Pair> {
  return pair({ path: join(folder, 'micro.sock') });
}

export function tcpPair(): Promise<Pair> {
  return pair({ host: '127.0.0.1', port: 0 });
}

const scratch = new Uint8Array(2 ** 20);

async function pair(where: ListenOptions): Promise<Pair> {
  const server = createServer({ pauseOnConnect: true }).listen(where);
  await once(server, 'listening');
  const address = server.address();
  if (address === null) throw new NbdError('NBDCORK_BENCH', 'The socket pair does not listen.');
  const near = connect(
    typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: address.port },
  );
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ];
  server.close();
  // As servers have it: else a send would wait for what may follow it.
  near.setNoDelay(true);
  const [fd, farFd] = [descriptorOf(near), descriptorOf(far)];
  if (fd === undefined || farFd === undefined) {
    throw new NbdError('NBDCORK_BENCH', 'The descriptors of sockets are not accessible.');
  }
  return {
    near,
    fd,
    drain: () => {
      drain(farFd);
    },
    close: () => {
      near.destroy();
      far.destroy();
    },
  };
}

function drain(fd: number): void {
  try {
    while (readSync(fd, scratch) > 0);
  } catch (error) {
    if (codeOf(error) !== 'EAGAIN') throw error;
  }
}
