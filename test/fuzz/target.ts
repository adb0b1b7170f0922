/** The server that is fuzzed: it runs as long as the fuzzer, with a disk of every kind. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { codeOf } from '../../lib/errors.js';
import { createServer, MemoryBackend, type Logger, type NbdServer } from '../../lib/index.js';
import { until } from '../support/server.js';
import {
  BlockDisk,
  FailingDisk,
  MemoryDisk,
  WritableDisk,
  PlainDisk,
  SlowDisk,
  type Resettable,
} from './disks.js';
import { deniedName, limits, ordinaryName, profiles, unavailableName } from './model/profiles.js';
import { OrdinaryClient, ordinaryBytes } from './ordinary-client.js';
import { socketPair } from './pair.js';

export const connectionKinds = ['duplex', 'Unix', 'TCP'] as const;
export type ConnectionKind = (typeof connectionKinds)[number];

/** A client's end of a connection, and when the server has released the other. */
export interface Link {
  readonly stream: Duplex;
  readonly released: () => Promise<void>;
}

const neverMs = 2 ** 30;

/** Create the disk of each export from its initial content. */
export type DiskFactories = Readonly<Record<string, (base: Buffer) => Resettable>>;

const defaultDisks: DiskFactories = {
  memory: (base) => new MemoryDisk(base),
  resizable: (base) => new MemoryDisk(base),
  locked: (base) => new MemoryDisk(base),
  plain: (base) => new PlainDisk(base),
  blocks: (base) => new BlockDisk(base),
  slow: (base) => new SlowDisk(base),
  failing: (base) => new FailingDisk(base),
};

let targets = 0;

/** Start a target with a socket in `folder`. `factories` replaces some of its disks. */
export async function startTarget(folder: string, factories: DiskFactories = {}): Promise<Target> {
  const target = new Target({ ...defaultDisks, ...factories });
  await target.listen(join(folder, `socket${targets++}`));
  return target;
}

export class Target {
  readonly server: NbdServer;
  private readonly disks: ReadonlyMap<string, Resettable>;
  private readonly ordinary: OrdinaryClient;
  /** Messages about closed connections that have no error code of the server. */
  private readonly unexpectedReasons: string[] = [];

  constructor(factories: DiskFactories) {
    this.disks = new Map(
      profiles.flatMap(({ name, base }) => {
        const make = factories[name];
        return make === undefined ? [] : [[name, make(base)]];
      }),
    );
    this.server = createServer({
      exports: this.exports(),
      defaultExport: 'memory',
      allow: (_client, name) => name !== deniedName,
      limits: { ...limits, handshakeTimeoutMs: neverMs, sendTimeoutMs: neverMs },
      logger: this.logger(),
    });
    this.ordinary = new OrdinaryClient(() => this.connect('duplex'));
  }

  /** Also listen on sockets: a Unix socket at `path`, and TCP. */
  async listen(path: string): Promise<void> {
    await this.server.listen({ path });
    await this.server.listen({ port: 0 });
  }

  async connect(kind: ConnectionKind): Promise<Link> {
    if (kind === 'duplex') {
      const [near, far] = socketPair();
      const served = this.server.serve(far);
      return { stream: near, released: () => served };
    }
    const address = this.server.addresses[kind === 'Unix' ? 0 : 1];
    assert.ok(address !== undefined, 'the server does not listen');
    const before = this.server.connectionCount;
    const socket: Socket = connect({ ...address, allowHalfOpen: true });
    socket.setNoDelay(true);
    await once(socket, 'connect');
    await until(() => this.server.connectionCount > before);
    return { stream: socket, released: () => until(() => this.server.connectionCount === before) };
  }

  /** Settles when no disk has a call in progress. */
  async disksIdle(): Promise<void> {
    const slow = [...this.disks.values()].filter((disk) => disk instanceof SlowDisk);
    await until(() => slow.every(({ active }) => active === 0));
  }

  /** The disk of an export; undefined where each connection has its own. */
  disk(name: string): Resettable | undefined {
    return this.disks.get(name);
  }

  /** @throws where the ordinary client is not served correctly. */
  async checkOrdinary(): Promise<void> {
    await this.ordinary.check();
  }

  /** @throws where the server closed a connection for a reason without an error code. */
  checkLog(): void {
    assert.deepEqual(this.unexpectedReasons.splice(0), [], 'why the server closed a connection');
  }

  /** Stop after a failed case, which may have left requests that are never answered. */
  abandon(): void {
    this.server.close().catch((error: unknown) => {
      // An unhandled rejection of any other error is reported as a failure of its own.
      if (codeOf(error) !== 'NBDCORK_SHUTDOWN_TIMEOUT') throw error;
    });
  }

  async close(): Promise<void> {
    await this.ordinary.close();
    await this.server.close();
  }

  private exports() {
    const shared = [...this.disks].map(([name, backend]) => {
      const description = profiles.find((profile) => profile.name === name)?.description;
      const options = {
        backend,
        readOnly: name === 'locked',
        resizable: name === 'resizable',
        ...(description === undefined ? {} : { description }),
      };
      return [name, options] as const;
    });
    const own = ['own', 'mine'].map((name) => {
      const base = profiles.find((profile) => profile.name === name)?.base ?? Buffer.alloc(0);
      return [
        name,
        { backend: () => Promise.resolve(new WritableDisk(base)), perConnection: true },
      ] as const;
    });
    return {
      ...Object.fromEntries(shared),
      ...Object.fromEntries(own),
      [unavailableName]: {
        backend: () => {
          throw new Error('unavailable');
        },
      },
      [deniedName]: new MemoryBackend(4096),
      [ordinaryName]: new MemoryBackend(ordinaryBytes, { chunkBytes: 4096 }),
    };
  }

  /** The server closes connections for reasons that have a code. Any other is a fault of it. */
  private logger(): Logger {
    const look = (details: object, message: string): void => {
      if (!message.startsWith('connection closed')) return;
      const code = 'code' in details ? details.code : undefined;
      if (typeof code !== 'string' || !code.startsWith('NBDCORK_'))
        this.unexpectedReasons.push(message);
    };
    const quiet = (): undefined => undefined;
    return { debug: look, info: quiet, warn: look, error: quiet };
  }
}
