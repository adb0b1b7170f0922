/** One server that lives as long as the fuzzing does, with a disk of every kind. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { createServer, type Logger, type NbdServer } from '../../lib/index.js';
import { MemoryBackend } from '../../lib/index.js';
import { until } from '../support/server.js';
import {
  BlockDisk,
  FailingDisk,
  MemoryDisk,
  OwnDisk,
  PlainDisk,
  SlowDisk,
  type Resettable,
} from './disks.js';
import { deniedName, limits, ordinaryName, profiles, unavailableName } from './model/profiles.js';
import { OrdinaryClient, ordinaryBytes } from './ordinary-client.js';
import { socketLikePair } from './pair.js';

export const places = ['duplex', 'Unix', 'TCP'] as const;
export type Place = (typeof places)[number];

/** A client's end of a connection, and when the server is done with the other. */
export interface Link {
  readonly stream: Duplex;
  readonly released: () => Promise<void>;
}

const farAwayMs = 2 ** 30;

/** What makes the disk of each export, given what it holds at first. */
export type Makers = Readonly<Record<string, (base: Buffer) => Resettable>>;

const usualMakers: Makers = {
  memory: (base) => new MemoryDisk(base),
  resizable: (base) => new MemoryDisk(base),
  locked: (base) => new MemoryDisk(base),
  plain: (base) => new PlainDisk(base),
  blocks: (base) => new BlockDisk(base),
  slow: (base) => new SlowDisk(base),
  failing: (base) => new FailingDisk(base),
};

let worlds = 0;

/** With a socket in `folder`, and with other disks where `makers` has them. */
export async function listeningWorld(folder: string, makers: Makers = {}): Promise<World> {
  const world = new World({ ...usualMakers, ...makers });
  await world.listen(join(folder, `socket${worlds++}`));
  return world;
}

export class World {
  readonly server: NbdServer;
  private readonly disks: ReadonlyMap<string, Resettable>;
  private readonly ordinary: OrdinaryClient;
  /** Reasons for which the server closed a connection that are no reasons of its own. */
  private readonly surprises: string[] = [];

  constructor(makers: Makers) {
    this.disks = new Map(
      profiles.flatMap(({ name, base }) => {
        const make = makers[name];
        return make === undefined ? [] : [[name, make(base)]];
      }),
    );
    this.server = createServer({
      exports: this.exports(),
      defaultExport: 'memory',
      allow: (_client, name) => name !== deniedName,
      limits: { ...limits, handshakeTimeoutMs: farAwayMs, sendTimeoutMs: farAwayMs },
      logger: this.logger(),
    });
    this.ordinary = new OrdinaryClient(() => this.connect('duplex'));
  }

  /** Listen on sockets, too: a Unix socket at `path`, and TCP. */
  async listen(path: string): Promise<void> {
    await this.server.listen({ path });
    await this.server.listen({ port: 0 });
  }

  async connect(place: Place): Promise<Link> {
    if (place === 'duplex') {
      const [near, far] = socketLikePair();
      const served = this.server.serve(far);
      return { stream: near, released: () => served };
    }
    const address = this.server.addresses[place === 'Unix' ? 0 : 1];
    assert.ok(address !== undefined, 'the server does not listen');
    const before = this.server.connectionCount;
    const socket: Socket = connect({ ...address, allowHalfOpen: true });
    socket.setNoDelay(true);
    await once(socket, 'connect');
    await until(() => this.server.connectionCount > before);
    return { stream: socket, released: () => until(() => this.server.connectionCount === before) };
  }

  /** Settles when no disk is at work. */
  async settled(): Promise<void> {
    const slow = [...this.disks.values()].filter((disk) => disk instanceof SlowDisk);
    await until(() => slow.every(({ active }) => active === 0));
  }

  /** The disk of an export; undefined for one that each connection has of its own. */
  disk(name: string): Resettable | undefined {
    return this.disks.get(name);
  }

  /** The ordinary client's turn. @throws where it is not served as ever. */
  async checkOrdinary(): Promise<void> {
    await this.ordinary.check();
  }

  /** @throws where the server closed a connection for a reason that it has no code for. */
  judgeLog(): void {
    assert.deepEqual(this.surprises.splice(0), [], 'why the server closed a connection');
  }

  /** A case has failed: whatever is wrong here is known. */
  abandon(): void {
    this.server.close().catch(() => undefined);
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
        { backend: () => Promise.resolve(new OwnDisk(base)), perConnection: true },
      ] as const;
    });
    return {
      ...Object.fromEntries(shared),
      ...Object.fromEntries(own),
      [unavailableName]: {
        backend: () => {
          throw new Error('it is not there');
        },
      },
      [deniedName]: new MemoryBackend(4096),
      [ordinaryName]: new MemoryBackend(ordinaryBytes, { chunkBytes: 4096 }),
    };
  }

  /** A connection is closed for reasons that have a code: another one is a mistake of the server. */
  private logger(): Logger {
    const look = (details: object, message: string): void => {
      if (!message.startsWith('connection closed')) return;
      const code = 'code' in details ? details.code : undefined;
      if (typeof code !== 'string' || !code.startsWith('NBDCORK_')) this.surprises.push(message);
    };
    const quiet = (): undefined => undefined;
    return { debug: look, info: quiet, warn: look, error: quiet };
  }
}
