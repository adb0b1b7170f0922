/** The system calls, as the addon counts them, and TCP segments of messages. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { addon } from '../../lib/native/load.js';
import { BatchedTransport } from '../../lib/transport/batched.js';
import { CorkTransport } from '../../lib/transport/cork.js';
import { descriptorOf } from '../../lib/sockets/handle.js';
import {
  attach,
  type StrategyName,
  type Transport,
  type TransportCounters,
} from '../../lib/transport/index.js';
import { MoreTransport } from '../../lib/transport/more.js';
import { VectoredTransport } from '../../lib/transport/vectored.js';
import { countCalls } from './support/calls.js';
import { openTcp, openTls, openUnix } from './support/links.js';
import { Receiver, tick } from './support/receiving.js';
import { skipReason, withoutAddon } from './support/strategies.js';

const messageCount = 64;
const payload = Buffer.alloc(100, 'p');

function sendMessages(transport: Transport, count = messageCount): void {
  for (let number = 0; number < count; number++) {
    const at = transport.header(16);
    transport.headers.setUint32(at, number);
    transport.append(payload);
    transport.endMessage();
  }
}

/** For 64 messages of a header and a payload, gathered. */
const costs: Readonly<Record<StrategyName, Partial<TransportCounters>>> = {
  plain: { streamWrites: 128 },
  cork: { corks: 128, sends: 128 },
  more: { sends: 128 },
  vectored: { sends: 64 },
  batched: { sends: 1 },
  stream: { streamWrites: 1 },
};
const nothing: TransportCounters = {
  messages: 0,
  bytes: 0,
  sends: 0,
  corks: 0,
  streamWrites: 0,
  shortSends: 0,
  fallbacks: 0,
};

for (const strategy of Object.keys(costs).filter(isStrategy)) {
  test(`${strategy}: the cost of 64 messages`, { skip: skipReason(strategy) }, async (t) => {
    const { sender } = await openTcp(t);
    const transport = attach(sender, { strategy });
    transport.gather();
    sendMessages(transport);
    transport.flush();
    const size = { messages: 64, bytes: 64 * 116 };
    assert.deepEqual({ ...transport.counters }, { ...nothing, ...size, ...costs[strategy] });
  });
}

function isStrategy(name: string): name is StrategyName {
  return name in costs;
}

test('plain and stream send when the message or the tick ends', async (t) => {
  const { sender } = await openUnix(t);
  const plain = attach(sender, { strategy: 'plain' });
  plain.send(payload, true);
  assert.equal(plain.counters.streamWrites, 0);
  plain.send(payload);
  assert.equal(plain.counters.streamWrites, 2);

  const stream = attach(sender, { strategy: 'stream' });
  sendMessages(stream);
  assert.equal(stream.counters.streamWrites, 0);
  assert.equal(stream.queuedBytes, 64 * 116);
  await tick();
  assert.equal(stream.counters.streamWrites, 1);
});

test('stream copies all messages of a tick into one write', () => {
  const writes: number[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      writes.push(chunk.length);
      done();
    },
  });
  const transport = attach(stream, { strategy: 'stream' });
  transport.gather();
  sendMessages(transport);
  transport.flush();
  assert.deepEqual(writes, [64 * 116]);
});

describe('messages that wait for a peer that does not read', () => {
  const large = 2 ** 18;

  test('do not retain the large memory that a short piece is a view of', () => {
    const held: number[] = [];
    let goOn: () => void = () => undefined;
    const stream = new Writable({
      write: (_chunk, _encoding, done) => {
        goOn = done;
      },
      writev: (chunks, done) => {
        held.push(...chunks.map(({ chunk }: { chunk: Buffer }) => chunk.buffer.byteLength));
        done();
      },
    });
    const transport = attach(stream, { strategy: 'stream' });
    for (let count = 0; count < 20; count++) {
      transport.send(new Uint8Array(large).subarray(7, 8));
      transport.flush();
    }
    goOn();
    assert.equal(held.length, 19);
    assert.ok(Math.max(...held) <= Buffer.poolSize);
  });

  test('retain at most one of the large buffers of TLS', async (t) => {
    const { sender } = await openTls(t, 'TLSv1.3');
    const transport = attach(sender, { strategy: 'stream' });
    const write = t.mock.method(sender, 'write');
    for (let count = 0; count < 20; count++) {
      transport.sendv([payload, payload]);
      transport.flush();
    }
    const held = write.mock.calls.map(({ arguments: [chunk] }) => {
      assert.ok(chunk instanceof Uint8Array);
      return chunk.buffer.byteLength;
    });
    assert.equal(held.length, 20);
    assert.ok(held.filter((bytes) => bytes > Buffer.poolSize).length <= 1);
  });
});

describe('TLS', () => {
  test('a header and a small payload share a write, and so a TLS record', async (t) => {
    const { sender } = await openTls(t, 'TLSv1.3');
    const transport = attach(sender, { strategy: 'stream' });
    transport.gather();
    sendMessages(transport);
    transport.flush();
    assert.equal(transport.counters.streamWrites, 1);
  });

  test('a long payload is not copied', async (t) => {
    const { sender, receiver } = await openTls(t, 'TLSv1.3');
    const received = new Receiver(receiver).read();
    const transport = attach(sender, { strategy: 'stream' });
    const write = t.mock.method(sender, 'write');
    const long = Buffer.alloc(2 ** 16, 'l');
    transport.sendv([payload, long]);
    await transport.sent();
    const written = write.mock.calls.map((call): unknown => call.arguments[0]);
    assert.equal(written.indexOf(long), 1);
    transport.end();
    assert.deepEqual(await received.closed, Buffer.concat([payload, long]));
  });

  test('a payload of more than 1 MiB is encrypted in slices', async (t) => {
    const { sender, receiver } = await openTls(t, 'TLSv1.3');
    const received = new Receiver(receiver).read();
    const transport = attach(sender, { strategy: 'stream' });
    const write = t.mock.method(sender, 'write');
    const long = Buffer.alloc(5 * 2 ** 19, 'l');
    let released = 0;
    transport.append(long);
    transport.releaseWhenSent({ release: () => released++ });
    transport.endMessage();
    await transport.sent();
    assert.equal(released, 1);
    for (const chunk of write.mock.calls.map((call): unknown => call.arguments[0])) {
      assert.ok(chunk === '' || (chunk instanceof Uint8Array && chunk.length <= 2 ** 20));
    }
    transport.end();
    assert.deepEqual(await received.closed, long);
  });
});

describe('with the addon', { skip: withoutAddon }, () => {
  test('batched sends at the end of the tick, except after gather()', async (t) => {
    const { sender } = await openUnix(t);
    const transport = attach(sender, { strategy: 'batched' });
    sendMessages(transport);
    assert.equal(transport.counters.sends, 0);
    assert.equal(transport.queuedBytes, 64 * 116);
    await tick();
    assert.equal(transport.counters.sends, 1);
    assert.equal(transport.queuedBytes, 0);

    sendMessages(transport, 1);
    transport.gather();
    sendMessages(transport);
    await tick();
    assert.equal(transport.counters.sends, 1);
    assert.ok(transport.flush());
    assert.equal(transport.counters.sends, 2);
  });

  test('a batch is sent early if it is long or has many pieces', async (t) => {
    const { sender } = await openTcp(t);
    const transport = attach(sender, { strategy: 'batched' });
    transport.gather();
    transport.send(Buffer.alloc(2 ** 20));
    assert.equal(transport.counters.sends, 1);

    const many = attach((await openTcp(t)).sender, { strategy: 'batched' });
    many.gather();
    many.sendv(new Array<Uint8Array>(1022).fill(payload));
    assert.equal(many.counters.sends, 0);
    many.send(payload);
    assert.equal(many.counters.sends, 1);

    const headers = attach((await openTcp(t)).sender, { strategy: 'batched' });
    headers.gather();
    sendMessages(headers, 256);
    assert.equal(headers.counters.sends, 0);
    sendMessages(headers, 1);
    assert.equal(headers.counters.sends, 1, 'the memory of headers was full');
  });

  test('a vector is not longer than IOV_MAX', async (t) => {
    const { sender } = await openTcp(t);
    const transport = attach(sender, { strategy: 'vectored' });
    transport.sendv(new Array<Uint8Array>(3000).fill(payload.subarray(0, 1)));
    assert.equal(transport.counters.sends, 3);
    for (let count = 0; count < 1024; count++) transport.append(payload.subarray(0, 1));
    transport.header(1);
    transport.endMessage();
    assert.equal(transport.counters.sends, 5);
  });

  test('memory that was sent is not retained', async (t) => {
    const { sender } = await openTcp(t);
    const held: number[] = [];
    const { counted } = countCalls({
      sendmsg: (fd, buffers, ...given) => {
        held.push(buffers.length);
        return addon?.sendmsg(fd, buffers, ...given) ?? 0;
      },
    });
    const transport = new VectoredTransport(sender, descriptorOf(sender) ?? -1, counted);
    for (const letter of 'abc') transport.send(Buffer.from(letter));
    assert.deepEqual(held, [2, 2, 2], 'the memory of headers, and one payload');
  });

  for (const TransportClass of [
    CorkTransport,
    MoreTransport,
    VectoredTransport,
    BatchedTransport,
  ]) {
    test(`${TransportClass.name} counts the calls that it makes`, async (t) => {
      const { sender, receiver } = await openTcp(t);
      const { counted, calls } = countCalls();
      const transport = new TransportClass(sender, descriptorOf(sender) ?? -1, counted);
      const received = new Receiver(receiver).read();
      transport.sendv([Buffer.alloc(3), Buffer.alloc(0), Buffer.alloc(3_000_000)]);
      sendMessages(transport, 600);
      transport.send(new Uint8Array(0));
      transport.end();
      assert.equal((await received.closed).length, 3_000_003 + 600 * 116);
      assert.equal(transport.counters.sends, calls.send + calls.sendmsg);
      assert.equal(transport.counters.corks, calls.setCork);
      assert.equal(transport.counters.messages, 602);
    });
  }

  for (const strategy of ['plain', 'cork', 'more', 'vectored'] as const) {
    const each = strategy === 'plain' ? 2 : 1;
    test(`${strategy}: ${each} TCP segment(s) a message`, async (t) => {
      assert.equal(await segmentsOf(strategy, 3, t), 3 * each);
    });
  }

  test('batched: one TCP segment for three messages', async (t) => {
    assert.equal(await segmentsOf('batched', 3, t), 1);
  });
});

/** The data segments of small messages. Measured again if the kernel sent one twice. */
async function segmentsOf(strategy: StrategyName, count: number, t: TestContext): Promise<number> {
  assert.ok(addon !== undefined);
  const { sender } = await openTcp(t);
  const fd = descriptorOf(sender) ?? -1;
  const transport = attach(sender, { strategy });
  const before = new Float64Array(4);
  const after = new Float64Array(4);
  assert.equal(addon.tcpInfo(fd, before), 0);
  sendMessages(transport, count);
  transport.flush();
  assert.equal(addon.tcpInfo(fd, after), 0);
  const [bytes, segments] = [1, 2].map((at) => (after[at] ?? 0) - (before[at] ?? 0));
  assert.ok(segments !== undefined && bytes !== undefined);
  return bytes === count * 116 ? segments : segmentsOf(strategy, count, t);
}
