/** Delivers a case to the server as it says, and has everything judged that comes back. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { eventLoopTurn } from '../support/server.js';
import { SlowDisk } from './disks.js';
import { piecesOf, type Delivery } from './delivery.js';
import { Oracle } from './oracle.js';
import type { Link, World } from './world.js';

/** What a client does: all of its bytes, and how they come. */
export interface Case {
  readonly bytes: Buffer;
  readonly delivery: Delivery;
}

/** A machine is slow, but not so slow: what takes longer hangs. */
const watchdogMs = 60_000;
/** A piece past this many does not get a turn of its own. */
const turnsMax = 400;
/** Turns of the event loop before a client reads that reads late. */
const lateTurns = 4;
const diskBytesMax = 2 ** 20;

/** @throws where the server did anything that it must not. */
export async function runCase(world: World, { bytes, delivery }: Case): Promise<void> {
  const stops = delivery.stop !== undefined;
  const oracle = new Oracle(bytes, stops);
  const link = await world.connect(delivery.place);
  const conversation = new Conversation(world, link, oracle, delivery);
  let alarm: NodeJS.Timeout | undefined;
  const hangs = new Promise<never>((_, reject) => {
    alarm = setTimeout(() => {
      reject(new Error(`it hangs ${conversation.doing}`));
    }, watchdogMs);
  });
  try {
    await Promise.race([conversation.run(bytes), hangs, conversation.failed]);
    conversation.judgeEnd();
    const after = stops ? world.server.close() : judgeWorld(world, oracle, conversation.complete);
    await Promise.race([after, hangs]);
    world.judgeLog();
  } finally {
    clearTimeout(alarm);
    link.stream.destroy();
  }
}

class Conversation {
  /** Rejected when the oracle does not agree. */
  readonly failed: Promise<never>;
  /** For people, where it hangs. */
  doing = '';
  private readonly stream: Duplex;
  private readonly world: World;
  private readonly link: Link;
  private readonly oracle: Oracle;
  private readonly delivery: Delivery;
  private fail: (error: unknown) => void = () => undefined;
  private unsent: Buffer[] = [];
  private serverEnded = false;
  private closed = false;
  private wake: () => void = () => undefined;

  constructor(world: World, link: Link, oracle: Oracle, delivery: Delivery) {
    this.world = world;
    this.link = link;
    this.stream = link.stream;
    this.oracle = oracle;
    this.delivery = delivery;
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined); // it is raced for where it counts
    this.stream.on('error', () => undefined); // a reset or EPIPE; 'close' follows
    this.stream.on('end', () => {
      this.serverEnded = true;
      this.wake();
    });
    this.stream.on('close', () => {
      this.closed = true;
      this.wake();
    });
    if (delivery.reading === 'at once' || delivery.reading === 'slowly') this.read();
  }

  /** Every reply has to be there: nobody cut the connection, and nothing got lost on the way. */
  get complete(): boolean {
    const { ending, stop } = this.delivery;
    const { oracle } = this;
    if (stop !== undefined) return false;
    if (oracle.ending === 'broken' || oracle.ambiguous) return false;
    if (ending === 'destroy' || ending === 'reset') return false;
    // Who sends to a server that has closed may lose what it has not read.
    if (oracle.unread > 0) return false;
    // Whoever leaves the handshake need not be answered.
    const inHandshake = oracle.requested === undefined && oracle.ending === 'open';
    return !inHandshake || ending === 'answered';
  }

  async run(bytes: Buffer): Promise<void> {
    await this.send(bytes);
    await this.endAsToldTo();
    this.doing = 'and the server does not let go of the connection';
    await this.link.released();
    this.doing = 'and the connection does not close';
    if (this.delivery.reading === 'never') return;
    while (!this.serverEnded && !this.closed) await this.event();
  }

  judgeEnd(): void {
    if (!this.complete) return;
    const { total } = this.oracle;
    assert.ok(this.oracle.satisfied, `replies are missing: there are ${total} bytes`);
  }

  private async send(bytes: Buffer): Promise<void> {
    const { cut, stop = 0, pace } = this.delivery;
    this.unsent = [...piecesOf(bytes, cut)];
    const stopAt = Math.floor((this.unsent.length * stop) / 2 ** 16);
    for (let turns = 0; this.unsent.length > 0; turns++) {
      if (this.delivery.stop !== undefined && turns === stopAt) this.stopServer();
      this.sendNext();
      if (pace !== 'at once' && turns < turnsMax) await eventLoopTurn();
    }
  }

  private sendNext(): void {
    const piece = this.unsent.shift();
    // A server that has closed may not be written to.
    if (piece !== undefined && !this.closed && !this.serverEnded) this.stream.write(piece);
  }

  /** What becomes of it is seen at the end. */
  private stopServer(): void {
    this.world.server.close().catch(() => undefined);
  }

  private async endAsToldTo(): Promise<void> {
    const { stream, delivery, oracle } = this;
    const { ending, reading } = delivery;
    if (reading === 'late') {
      for (let turns = 0; turns < lateTurns; turns++) await eventLoopTurn();
      this.read();
    }
    if (ending === 'destroy') {
      stream.destroy();
    } else if (ending === 'reset') {
      if (stream instanceof Socket && delivery.place === 'TCP') stream.resetAndDestroy();
      else stream.destroy(new Error('reset'));
    } else if (ending === 'answered' && !oracle.ambiguous && delivery.stop === undefined) {
      this.doing = 'and the answers do not come';
      const waits = (): boolean => oracle.ending !== 'open' || !oracle.satisfied;
      while (waits() && !this.serverEnded && !this.closed) await this.event();
      if (oracle.ending === 'open') {
        assert.ok(!this.serverEnded && !this.closed, 'the server closes for no reason');
      }
      stream.end();
    } else {
      stream.end();
    }
  }

  private read(): void {
    this.stream.on('data', (chunk: Buffer) => {
      try {
        this.oracle.push(chunk);
      } catch (error) {
        this.fail(error);
      }
      if (this.delivery.pace === 'answers') this.sendNext();
      if (this.delivery.reading === 'slowly') {
        this.stream.pause();
        setImmediate(() => this.stream.resume());
      }
      this.wake();
    });
  }

  private event(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }
}

async function judgeWorld(world: World, oracle: Oracle, complete: boolean): Promise<void> {
  await world.checkOrdinary();
  await judgeDisk(world, oracle, complete);
}

/** What the disk holds afterwards is what it was told to; then it is as it was at first. */
async function judgeDisk(world: World, oracle: Oracle, complete: boolean): Promise<void> {
  await world.settled();
  const { requested, haggling } = oracle;
  const profile = haggling.agreed?.profile;
  if (requested === undefined || profile === undefined) return;
  const disk = world.disk(profile.name);
  if (disk === undefined) return;
  const { journal, size } = requested;
  if (complete) assert.equal(BigInt(disk.size), size, 'the size of the disk');
  const length = Math.min(disk.size, diskBytesMax);
  const before = complete && profile.inOrder ? journal.changes.length : 0;
  const at = journal.wrongAt(0, disk.peek(0, length), before);
  assert.equal(at, undefined, `the disk '${profile.name}' has a wrong byte at ${at}`);
  const changed = journal.changes.length > 0 || BigInt(profile.base.length) !== size;
  if (changed || disk instanceof SlowDisk) disk.reset();
}
