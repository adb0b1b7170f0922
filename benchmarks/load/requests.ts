/**
 * Chooses the requests of the load generator. Hot path: a request is a few
 * numbers, not an object.
 */
import { blockBytes, diskBytes } from '../disk.js';
import type { Kind } from '../results.js';
import { Command } from '../../lib/wire/constants.js';

export interface Shape {
  /** The length field of every request. */
  readonly lengthBytes: number;
  readonly command: 'read' | 'blockStatus' | 'mixed';
}

export const shapes: Readonly<Record<Kind, Shape>> = {
  'read-4k': { lengthBytes: 4096, command: 'read' },
  'read-64k': { lengthBytes: 65_536, command: 'read' },
  'mixed-4k': { lengthBytes: 4096, command: 'mixed' },
  extents: { lengthBytes: diskBytes, command: 'blockStatus' },
  'read-512': { lengthBytes: 512, command: 'read' },
};

/** The same requests in every run: xorshift, seeded by the connection. */
export class RequestMaker {
  readonly lengthBytes: number;
  offset = 0;
  type: number = Command.read;
  private readonly command: Shape['command'];
  private readonly blocks: number;
  private random: number;

  constructor(kind: Kind, connection: number) {
    const { lengthBytes, command } = shapes[kind];
    this.lengthBytes = lengthBytes;
    this.command = command;
    this.blocks = Math.floor((diskBytes - lengthBytes) / blockBytes) + 1;
    this.random = 0x9e3779b9 ^ Math.imul(connection + 1, 0x85ebca6b);
  }

  /** The next request, in `type` and `offset`. */
  next(): void {
    let random = this.random;
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    this.random = random;
    this.offset = ((random >>> 1) % this.blocks) * blockBytes;
    if (this.command === 'read') this.type = Command.read;
    else if (this.command === 'blockStatus') this.type = Command.blockStatus;
    else this.type = random < 0 ? Command.write : Command.read;
  }
}
