import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, writeSync } from 'node:fs';
import { connect, createServer, Socket, type ListenOptions, type Server } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { codeOf } from '../../lib/errors.js';
import { descriptorOf, socketOnDescriptor, withReadInto } from '../../lib/sockets/handle.js';
import { attach } from '../../lib/transport/index.js';
import { linkKinds, pipeDescriptors, temporaryFolder } from '../transport/support/links.js';
import { Receiver, Reports } from '../transport/support/receiving.js';

/** Reads into two buffers alternately. */
class Inbox {
  readonly buffers = [Buffer.alloc(1000), Buffer.alloc(500)];
  readonly used: Uint8Array[] = [];
  text = '';
  keepReading = true;
  private turn = 0;
  private heard: (() => void) | undefined;

  // Node calls both without `this`.
  readonly buffer = (): Uint8Array => this.buffers[this.turn++ % 2] ?? Buffer.alloc(0);

  readonly callback = (count: number, buffer: Uint8Array): boolean => {
    this.used.push(buffer);
    this.text += Buffer.from(buffer.subarray(0, count)).toString();
    this.heard?.();
    return this.keepReading;
  };

  async until(text: string): Promise<void> {
    while (this.text !== text) {
      await new Promise<void>((resolve) => (this.heard = resolve));
    }
  }
}

interface Connection {
  readonly server: Server;
  readonly socket: Socket;
  readonly inbox: Inbox;
  readonly peer: Socket;
}

const places: readonly { name: string; listenOptions: (t: TestContext) => ListenOptions }[] = [
  { name: 'TCP', listenOptions: () => ({ port: 0, host: '127.0.0.1' }) },
  {
    name: 'Unix',
    listenOptions: (t) => ({ path: join(temporaryFolder(t), 'socket') }),
  },
];

async function open(t: TestContext, options: ListenOptions): Promise<Connection> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(options);
  await once(server, 'listening');
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const address = server.address();
  assert.ok(address !== null);
  const peer =
    typeof address === 'string' ? connect(address) : connect(address.port, address.address);
  t.after(() => {
    peer.destroy();
    server.close();
  });
  const inbox = new Inbox();
  const socket = withReadInto(await accepted, server, inbox);
  t.after(() => socket.destroy());
  return { server, socket, inbox, peer };
}

for (const { name, listenOptions } of places) {
  describe(`ReadInto: ${name}`, () => {
    test('each read uses the memory that buffer() returns', async (t) => {
      const { inbox, peer } = await open(t, listenOptions(t));
      peer.write('one');
      await inbox.until('one');
      peer.write('two');
      await inbox.until('onetwo');
      peer.write('three');
      await inbox.until('onetwothree');
      const [first, second] = inbox.buffers;
      assert.deepEqual(
        inbox.used.map((buffer) => buffer === first),
        [true, false, true],
      );
      assert.equal(first?.toString('latin1', 0, 5), 'three');
      assert.equal(second?.toString('latin1', 0, 3), 'two');
    });

    test('no read is longer than its buffer', async (t) => {
      const { inbox, peer } = await open(t, listenOptions(t));
      const text = 'abcdefgh'.repeat(10_000);
      peer.write(text);
      await inbox.until(text);
      assert.ok(inbox.used.length >= text.length / 750);
    });

    test('pause and resume', async (t) => {
      const { server, socket, inbox, peer } = await open(t, listenOptions(t));
      socket.pause();
      peer.write('waits');
      await roundTrip(server);
      assert.equal(inbox.text, '');
      socket.resume();
      await inbox.until('waits');
    });

    test('a callback that returns false stops reading until resume()', async (t) => {
      const { server, socket, inbox, peer } = await open(t, listenOptions(t));
      inbox.keepReading = false;
      peer.write('1');
      await inbox.until('1');
      peer.write('2');
      await roundTrip(server);
      assert.equal(inbox.text, '1');
      inbox.keepReading = true;
      socket.resume();
      await inbox.until('12');
    });

    test("the peer's end emits 'end', and the socket stays writable", async (t) => {
      const { server, socket, inbox, peer } = await open(t, listenOptions(t));
      const received = new Receiver(peer).read();
      const closed = Promise.all([once(socket, 'close'), once(server, 'close')]);
      server.close();
      peer.end('question');
      await once(socket, 'end');
      assert.equal(inbox.text, 'question');
      const transport = attach(socket);
      transport.sendv([Buffer.from('ans'), Buffer.from('wer')]);
      transport.end();
      assert.equal(String(await received.closed), 'answer');
      await closed;
    });

    test('server.close() waits for the connection and then completes', async (t) => {
      const { server, socket, peer } = await open(t, listenOptions(t));
      peer.resume();
      let closed = false;
      const serverClosed = once(server, 'close').then(() => (closed = true));
      server.close();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(closed, false);
      const connections = await new Promise((resolve) =>
        server.getConnections((_error, count) => resolve(count)),
      );
      assert.equal(connections, 1);
      socket.destroy();
      await serverClosed;
    });
  });
}

test('a reset by the peer is one error', async (t) => {
  const { server, socket, peer } = await open(t, { port: 0, host: '127.0.0.1' });
  const reports = new Reports(socket);
  const serverClosed = once(server, 'close');
  server.close();
  await once(peer, 'connect');
  peer.resetAndDestroy();
  await reports.closed;
  assert.deepEqual(reports.errors.map(codeOf), ['ECONNRESET']);
  await serverClosed;
});

test('withReadInto returns an accepted socket without a handle', () => {
  const socket = new Socket();
  assert.equal(withReadInto(socket, createServer(), new Inbox()), socket);
});

test('socketOnDescriptor reads a pipe into the given memory', async (t) => {
  const { readFd, writeFd } = pipeDescriptors(t);
  const inbox = new Inbox();
  const socket = socketOnDescriptor(readFd, inbox, false);
  t.after(() => socket.destroy());
  assert.ok(!socket.writable);
  writeSync(writeFd, 'through the ');
  writeSync(writeFd, 'pipe');
  await inbox.until('through the pipe');
  closeSync(writeFd);
  await once(socket, 'end');
});

test('socketOnDescriptor reads a socket into the given memory, and writes to it', async () => {
  // A child's stdio are pairs of sockets. Descriptor 3 is used in both directions.
  const program = `
    import { attach } from ${JSON.stringify(new URL('../../lib/transport/index.js', import.meta.url))};
    import { socketOnDescriptor } from ${JSON.stringify(new URL('../../lib/sockets/handle.js', import.meta.url))};
    const memory = Buffer.alloc(100);
    const callback = (count) => transport.sendv([Buffer.from('got '), memory.subarray(0, count)]);
    const socket = socketOnDescriptor(3, { buffer: () => memory, callback }, true);
    const transport = attach(socket);
    socket.on('end', () => transport.end());
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  const pair = child.stdio[3];
  assert.ok(pair instanceof Socket);
  pair.end('a word');
  assert.equal(await text(pair), 'got a word');
});

describe('descriptors', () => {
  for (const kind of linkKinds) {
    test(kind.name, { skip: kind.skip ?? false }, async (t) => {
      const { sender } = await kind.open(t);
      const fd = descriptorOf(sender);
      const raw = !kind.name.startsWith('TLS') && kind.name !== 'duplex';
      assert.equal(typeof fd, raw ? 'number' : 'undefined');
      sender.destroy();
      assert.equal(descriptorOf(sender), undefined);
    });
  }

  test('other streams have none', () => {
    assert.equal(descriptorOf(new PassThrough()), undefined);
    assert.equal(descriptorOf(new Socket()), undefined);
  });
});

/** Settles when a further connection was accepted and read: earlier events were handled before. */
async function roundTrip(server: Server): Promise<void> {
  const address = server.address();
  assert.ok(address !== null);
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const socket =
    typeof address === 'string' ? connect(address) : connect(address.port, address.address);
  socket.write('x');
  const other = await accepted;
  other.resume();
  await once(other, 'data');
  other.destroy();
  socket.destroy();
}
