/** Sends a case to the server and checks everything that it sends back. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { eventLoopTurn } from '../support/server.js';
import { SlowDisk } from './disks.js';
import { piecesOf, type Delivery } from './delivery.js';
import { Oracle } from './oracle.js';
import type { Link, Target } from './target.js';

/** What a client does: all bytes that it sends, and how they are delivered. */
export interface Case {
  readonly bytes: Buffer;
  readonly delivery: Delivery;
}

/** A case that takes longer hangs, however slow the machine is. */
const watchdogMs = 60_000;
/** Further pieces do not get a turn of the event loop each. */
const turnsMax = 400;
/** Turns of the event loop before a client with `reading: 'late'` reads. */
const lateTurns = 4;
const diskBytesMax = 2 ** 20;

/** @throws where the server violates the specification. */
export async function runCase(target: Target, { bytes, delivery }: Case): Promise<void> {
  const stops = delivery.stop !== undefined;
  const oracle = new Oracle(bytes, stops);
  const link = await target.connect(delivery.connection);
  const client = new CaseClient(target, link, oracle, delivery);
  let alarm: NodeJS.Timeout | undefined;
  const hangs = new Promise<never>((_, reject) => {
    alarm = setTimeout(() => {
      reject(new Error(`the case hangs: ${client.state}`));
    }, watchdogMs);
  });
  try {
    await Promise.race([client.run(bytes), hangs, client.failed]);
    client.checkComplete();
    const after = stops ? target.server.close() : checkTarget(target, oracle, client.complete);
    await Promise.race([after, hangs]);
    target.checkLog();
  } finally {
    clearTimeout(alarm);
    link.stream.destroy();
  }
}

class CaseClient {
  /** Rejected when the oracle finds a wrong byte. */
  readonly failed: Promise<never>;
  /** What is waited for, for the message of a case that hangs. */
  state = 'sending';
  private readonly stream: Duplex;
  private readonly target: Target;
  private readonly link: Link;
  private readonly oracle: Oracle;
  private readonly delivery: Delivery;
  private failure: { readonly error: unknown } | undefined;
  private fail: (error: unknown) => void = () => undefined;
  private unsent: Buffer[] = [];
  private serverEnded = false;
  private closed = false;
  private wake: () => void = () => undefined;

  constructor(target: Target, link: Link, oracle: Oracle, delivery: Delivery) {
    this.target = target;
    this.link = link;
    this.stream = link.stream;
    this.oracle = oracle;
    this.delivery = delivery;
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    // `checkComplete` throws it as well, where it comes after the race for it.
    this.failed.catch((error: unknown) => (this.failure = { error }));
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

  /** Whether every reply must have arrived: the connection was not cut, and no bytes were lost. */
  get complete(): boolean {
    const { ending, stop } = this.delivery;
    const { oracle } = this;
    if (stop !== undefined) return false;
    if (oracle.ending === 'broken' || oracle.ambiguous) return false;
    if (ending === 'destroy' || ending === 'reset') return false;
    // A client that sends to a closed connection may lose what it has not read.
    if (oracle.unread > 0) return false;
    // A client that leaves during the handshake need not be answered.
    const inHandshake = oracle.transmission === undefined && oracle.ending === 'open';
    return !inHandshake || ending === 'answered';
  }

  async run(bytes: Buffer): Promise<void> {
    await this.send(bytes);
    await this.endConnection();
    this.state = 'the server does not release the connection';
    await this.link.released();
    this.state = 'the connection does not close';
    if (this.delivery.reading === 'never') return;
    while (!this.serverEnded && !this.closed) await this.nextEvent();
  }

  checkComplete(): void {
    if (this.failure !== undefined) throw this.failure.error;
    if (!this.complete) return;
    const { total } = this.oracle;
    assert.ok(this.oracle.satisfied, `replies are missing after ${total} bytes`);
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
    // Writing to a closed connection would fail.
    if (piece !== undefined && !this.closed && !this.serverEnded) this.stream.write(piece);
  }

  /** `runCase` awaits the same promise at the end. */
  private stopServer(): void {
    this.target.server.close().catch(() => undefined);
  }

  private async endConnection(): Promise<void> {
    const { stream, delivery, oracle } = this;
    const { ending, reading } = delivery;
    if (reading === 'late') {
      for (let turns = 0; turns < lateTurns; turns++) await eventLoopTurn();
      this.read();
    }
    if (ending === 'destroy') {
      stream.destroy();
    } else if (ending === 'reset') {
      if (stream instanceof Socket && delivery.connection === 'TCP') stream.resetAndDestroy();
      else stream.destroy(new Error('reset'));
    } else if (ending === 'answered' && !oracle.ambiguous && delivery.stop === undefined) {
      this.state = 'replies are missing';
      const waits = (): boolean => oracle.ending !== 'open' || !oracle.satisfied;
      while (waits() && !this.serverEnded && !this.closed) await this.nextEvent();
      if (oracle.ending === 'open') {
        assert.ok(!this.serverEnded && !this.closed, 'the server closes without a reason');
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

  private nextEvent(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }
}

async function checkTarget(target: Target, oracle: Oracle, complete: boolean): Promise<void> {
  await target.checkOrdinary();
  await checkDisk(target, oracle, complete);
}

/** Compare the disk with the model, then reset it. */
async function checkDisk(target: Target, oracle: Oracle, complete: boolean): Promise<void> {
  await target.disksIdle();
  const { transmission, negotiation } = oracle;
  const profile = negotiation.agreement?.profile;
  if (transmission === undefined || profile === undefined) return;
  const disk = target.disk(profile.name);
  if (disk === undefined) return;
  const { journal, size } = transmission;
  if (complete) assert.equal(BigInt(disk.size), size, 'the size of the disk');
  const length = Math.min(disk.size, diskBytesMax);
  const before = complete && profile.inOrder ? journal.changes.length : 0;
  const at = journal.wrongAt(0, disk.peek(0, length), before);
  assert.equal(at, undefined, `the disk '${profile.name}' has a wrong byte at ${at}`);
  const changed = journal.changes.length > 0 || BigInt(profile.base.length) !== size;
  if (changed || disk instanceof SlowDisk) disk.reset();
}
