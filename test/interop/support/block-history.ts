/**
 * What each block of a disk may contain after a power cut: what was made durable
 * last, or anything that was written to it since.
 */
import assert from 'node:assert/strict';

export const blockBytes = 4096;

/** A request that writes blocks: the number `version`, or zeros. */
export interface Change {
  readonly version: number;
  readonly zeros: boolean;
  readonly first: number;
  readonly count: number;
}

interface Block {
  /** Durable. */
  kept: Change | undefined;
  /** Sent since, in order. */
  since: Change[];
  /** The last one with a reply. */
  acknowledged: Change | undefined;
}

export class BlockHistory {
  readonly blocks: Block[];
  private lastVersion = 0;

  /** All blocks are zeros. */
  constructor(count: number) {
    this.blocks = Array.from({ length: count }, () => ({
      kept: undefined,
      since: [],
      acknowledged: undefined,
    }));
  }

  /** Call before the request is sent. No other change of these blocks is in flight. */
  begin(first: number, count: number, zeros: boolean): Change {
    const change = { version: ++this.lastVersion, zeros, first, count };
    for (const block of this.of(change)) block.since.push(change);
    return change;
  }

  acknowledge(change: Change, durable: boolean): void {
    for (const block of this.of(change)) {
      block.acknowledged = change;
      if (durable) keep(block, change);
    }
  }

  /** Call before FLUSH is sent, and what it returns when it has succeeded. */
  beginFlush(): () => void {
    const covered = this.blocks.map(({ acknowledged }) => acknowledged);
    return () => {
      covered.forEach((change, index) => {
        const block = this.blocks[index];
        if (change !== undefined && block !== undefined) keep(block, change);
      });
    };
  }

  /**
   * Assert that the disk contains what it may after a cut, and go on from there.
   * Returns how many blocks lack a change that was acknowledged.
   */
  check(name: string, disk: Buffer): number {
    assert.equal(disk.length, this.blocks.length * blockBytes);
    let lost = 0;
    this.blocks.forEach((block, index) => {
      const found = disk.subarray(index * blockBytes, (index + 1) * blockBytes);
      const possible = [...block.since].reverse().concat(block.kept ?? zeros);
      const change = possible.find((one) => found.equals(contentOf(one, index)));
      const { kept, acknowledged } = block;
      assert.ok(
        change !== undefined,
        `block ${index} of ${name} has ${found.toString('hex', 0, 16)}…, durable is ${kept?.version ?? 0}`,
      );
      if (change.version < (acknowledged?.version ?? 0)) lost++;
      Object.assign(block, { kept: change, since: [], acknowledged: change });
    });
    return lost;
  }

  private of({ first, count }: Change): Block[] {
    return this.blocks.slice(first, first + count);
  }
}

const zeros: Change = { version: 0, zeros: true, first: 0, count: 0 };

function keep(block: Block, change: Change): void {
  if (change.version <= (block.kept?.version ?? 0)) return;
  block.kept = change;
  block.since = block.since.filter(({ version }) => version > change.version);
}

/** Every 8 bytes name the block and the version. */
function contentOf({ version, zeros }: Change, block: number): Buffer {
  if (zeros) return Buffer.alloc(blockBytes);
  const name = Buffer.alloc(8);
  name.writeUInt32BE(block, 0);
  name.writeUInt32BE(version, 4);
  return Buffer.alloc(blockBytes, name);
}

export function payloadOf(change: Change): Buffer {
  return Buffer.concat(
    Array.from({ length: change.count }, (_, index) => contentOf(change, change.first + index)),
  );
}
