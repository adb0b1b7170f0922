/** A connection of the load, from connecting to hanging up. */
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Histogram } from 'hdr-histogram-js';
import { codeOf } from '../../lib/errors.js';
import { ByteQueue } from '../../lib/handshake/byte-queue.js';
import { attach } from '../../lib/transport/attach.js';
import { enableReadInto, socketOnDescriptor, type ReadInto } from '../../lib/sockets/handle.js';
import type { Transport } from '../../lib/transport/transport.js';
import { OptionType } from '../../lib/wire/constants.js';
import type { Place, PreSharedKey } from '../place.js';
import { fill } from './fill.js';
import { enter, greet, option } from './handshake.js';
import type { LoadPlan } from './messages.js';
import { Session } from './session.js';

/** All connections read into the same memory: what a read brought is dealt with at once. */
const receiveBuffer = new Uint8Array(256 * 1024);
const receiveView = new DataView(receiveBuffer.buffer);

/** A server that was just started may not listen yet. */
const connectTimeoutMs = 10_000;
const retryMs = 10;

interface Ends {
  readonly input: Readable;
  readonly output: Writable;
}

export class Connection {
  readonly failed: Promise<never>;
  private readonly queue = new ByteQueue(65_536, () => undefined);
  private ends: Ends | undefined;
  private transport: Transport | undefined;
  private session: Session | undefined;
  private fail: (error: unknown) => void = () => undefined;
  private readonly onread: ReadInto = {
    buffer: () => receiveBuffer,
    callback: (count) => this.received(count),
  };

  constructor() {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    // Reported by the session in progress.
    this.failed.catch(() => undefined);
  }

  /** Connect, shake hands, and, as number 0, fill the disk. */
  async open(plan: LoadPlan, latency: Histogram, number: number): Promise<Session> {
    const { kind, depth, headers, place } = plan;
    this.use(await openEnds(place, this.onread));
    await Promise.race([this.shakeHands(plan, number), this.failed]);
    if (this.transport === undefined) throw new Error('Not connected.');
    this.session = new Session(this.transport, latency, {
      kind,
      depth,
      headers,
      connection: number,
    });
    return this.session;
  }

  /** Settles when the stream is closed. */
  async close(): Promise<void> {
    this.fail = () => undefined;
    const { ends } = this;
    if (ends === undefined) return;
    const open = [...new Set([ends.input, ends.output])].filter(({ closed }) => !closed);
    const closed = open.map((stream) => once(stream, 'close'));
    for (const stream of open) stream.destroy();
    await Promise.all(closed);
  }

  private async shakeHands(plan: LoadPlan, number: number): Promise<void> {
    const conversation = {
      input: this.queue,
      send: (bytes: Uint8Array) => this.transport?.sendv([bytes]),
    };
    await greet(conversation);
    if (plan.preSharedKey !== undefined) {
      await option(conversation, OptionType.startTls);
      await this.startTls(plan.preSharedKey);
    }
    await enter(conversation, plan.headers, plan.kind === 'extents');
    if (number === 0) await fill(conversation, plan.headers, plan.kind);
  }

  private use(ends: Ends): void {
    this.ends = ends;
    this.transport = attach(ends.output);
    for (const stream of new Set([ends.input, ends.output])) {
      stream.on('error', (error) => this.fail(error));
      stream.once('close', () => this.fail(new Error('The server closed the connection.')));
    }
    ends.input.resume();
  }

  private async startTls({ identity, keyHex }: PreSharedKey): Promise<void> {
    if (!(this.ends?.input instanceof Duplex)) throw new Error('TLS requires a socket.');
    const socket = connectTls({
      socket: this.ends.input,
      // The one that clients and servers of all kinds choose by themselves for a key.
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      pskCallback: () => ({ identity, psk: Buffer.from(keyHex, 'hex') }),
      // The server has proven itself by knowing the key.
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    if (!enableReadInto(socket, this.onread)) {
      throw new Error('This version of Node.js cannot read TLS into a buffer.');
    }
    this.use({ input: socket, output: socket });
  }

  private received(count: number): boolean {
    if (this.session === undefined) return this.queue.push(receiveBuffer.subarray(0, count));
    try {
      this.session.receive(receiveBuffer, receiveView, count);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }
}

async function openEnds(place: Place, onread: ReadInto): Promise<Ends> {
  if (place.type === 'pipes') {
    const output = new Socket({
      fd: openSync(place.requests, 'w'),
      readable: false,
      writable: true,
    });
    return { input: socketOnDescriptor(openSync(place.replies, 'r'), onread, false), output };
  }
  const deadline = performance.now() + connectTimeoutMs;
  for (;;) {
    const { callback } = onread;
    const options = { onread: { buffer: receiveBuffer, callback } };
    const socket = connect(
      place.type === 'unix'
        ? { path: place.path, ...options }
        : { host: place.host, port: place.port, ...options },
    );
    try {
      await once(socket, 'connect');
      return { input: socket, output: socket };
    } catch (error) {
      const early = ['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '');
      if (!early || performance.now() > deadline) throw error;
      await setTimeout(retryMs);
    }
  }
}
