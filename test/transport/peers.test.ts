/** Peers that close or reset the connection: one 'error' or a clean close. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { codeOf } from '../../lib/errors.js';
import { attach, type Transport } from '../../lib/transport/index.js';
import { duplexPair } from './support/duplex.js';
import { linkKinds, openTcp, openUnix, type Link, type LinkKind } from './support/links.js';
import { Material, seed } from './support/material.js';
import { fill, Receiver, Reports, tick } from './support/receiving.js';
import { writeHeader } from './support/script.js';
import {
  assertUncorked,
  skipReason,
  socketStrategies,
  wantedStrategies,
  withoutAddon,
  type Wanted,
} from './support/strategies.js';

const goneCodes: readonly unknown[] = ['EPIPE', 'ECONNRESET'];

for (const kind of linkKinds) {
  describe(kind.name, () => {
    for (const wanted of wantedStrategies) {
      describe(wanted, { skip: skipReason(wanted, kind) }, () => {
        test('a peer that disconnects without reading', (t) => disconnectsUnread(t, kind, wanted));
        test('a peer that disconnects while it reads', (t) =>
          disconnectsWhileReading(t, kind, wanted));
      });
    }
  });
}

async function disconnectsUnread(t: TestContext, kind: LinkKind, wanted: Wanted): Promise<void> {
  const link = await kind.open(t);
  const transport = attach(link.sender, { strategy: wanted });
  const reports = new Reports(link.sender);
  const material = new Material();
  new Receiver(link.receiver).stop();
  fill(transport, material);
  transport.send(material.piece(100));
  const sent = assert.rejects(transport.sent());
  const drained = transport.drained();
  transport.send(material.piece(100));
  link.cut();
  await sendUntilClosed(transport, material, reports);
  await Promise.all([sent, drained]);
  await assertGone(transport, reports);
}

async function disconnectsWhileReading(
  t: TestContext,
  kind: LinkKind,
  wanted: Wanted,
): Promise<void> {
  t.diagnostic(`NBDCORK_TEST_SEED=${seed}`);
  const link = await kind.open(t);
  const transport = attach(link.sender, { strategy: wanted });
  const reports = new Reports(link.sender);
  const receiver = new Receiver(link.receiver);
  const material = new Material();
  const cut = receiver.got(material.random() % 500_000).then(() => link.cut());
  await Promise.all([cut, sendUntilClosed(transport, material, reports)]);
  await assertGone(transport, reports);
  const received = await receiver.closed;
  assert.ok(material.expected().subarray(0, received.length).equals(received));
}

/** Sends messages of all kinds in every tick, while the stream accepts them. */
async function sendUntilClosed(
  transport: Transport,
  material: Material,
  reports: Reports,
): Promise<void> {
  let waits = false;
  transport.stream.on('drain', () => (waits = false));
  while (!reports.isClosed) {
    if (!waits) {
      transport.gather();
      transport.sendv(material.pieces([16, material.random() % 20_000]));
      writeHeader(transport, material.piece(20));
      transport.endMessage();
      transport.flush();
      waits = !transport.send(material.piece(5));
      assertUncorked(transport.stream);
    }
    await tick();
  }
}

async function assertGone(transport: Transport, reports: Reports): Promise<void> {
  const { messages, ...done } = transport.counters;
  for (let count = 0; count < 3; count++) {
    assert.equal(transport.send(new Uint8Array(7)), false);
    assert.equal(transport.sendv([new Uint8Array(7)]), false);
    assert.equal(transport.flush(), false);
    await tick();
  }
  transport.end();
  const { messages: messagesNow, ...doneNow } = transport.counters;
  assert.deepEqual(doneNow, done, 'nothing was sent');
  assert.equal(messagesNow, messages + 6);
  assert.equal(transport.queuedBytes, 0);
  assert.ok(transport.destroyed && !transport.needsDrain);
  await transport.drained();
  assert.ok(reports.errors.length <= 1, `${reports.errors.length} errors`);
  for (const error of reports.errors) assert.ok(goneCodes.includes(codeOf(error)), String(error));
}

for (const wanted of wantedStrategies) {
  test(`duplex, ${wanted}: pending messages are sent when the peer ends`, async (t) => {
    const [near, far] = duplexPair();
    t.after(() => near.destroy());
    const transport = attach(near, { strategy: wanted });
    const reports = new Reports(near);
    near.on('data', () => transport.sendv([Buffer.from('ans'), Buffer.from('wer')]));
    near.on('end', () => assert.equal(transport.queuedBytes, 0));
    far.end('request'); // emits 'end' in the same tick
    assert.equal(String(await new Receiver(far).read().closed), 'answer');
    assert.deepEqual(reports.errors, []);
  });
}

for (const wanted of wantedStrategies) {
  test(`duplex, ${wanted}: end() while a message is being written finishes the stream`, async (t) => {
    const [near, far] = duplexPair();
    t.after(() => near.destroy());
    const transport = attach(near, { strategy: wanted });
    const receiver = new Receiver(far).read();
    // The other end receives the message before its write returns.
    far.on('data', (chunk: Buffer) => {
      if (String(chunk) === 'wer') transport.end();
    });
    transport.send(Buffer.from('ans'));
    transport.flush();
    await tick();
    transport.send(Buffer.from('wer'));
    transport.flush();
    assert.equal(String(await receiver.closed), 'answer');
    assert.ok(near.writableFinished);
  });
}

const halfOpenLinks = [
  { name: 'TCP', open: openTcp },
  { name: 'Unix', open: openUnix },
];

for (const { name, open } of halfOpenLinks) {
  for (const wanted of wantedStrategies) {
    const skip = skipReason(wanted);
    test(`${name}, ${wanted}: a message that the peer reads late`, { skip }, async (t) => {
      const { sender, receiver: peer } = await open(t);
      const transport = attach(sender, { strategy: wanted });
      const answer = Buffer.alloc(20_000_000, 'a');
      sender.on('data', () => transport.sendv([answer.subarray(0, 10), answer.subarray(10)]));
      const reports = new Reports(sender);
      const receiver = new Receiver(peer);
      peer.end('request');
      await once(sender, 'end');
      assert.ok((await receiver.read().closed).equals(answer));
      assert.deepEqual(reports.errors, []);
    });

    test(
      `${name}, ${wanted}: a request and the end in one go are answered`,
      { skip },
      async (t) => {
        const { sender, receiver: peer } = await open(t);
        const transport = attach(sender, { strategy: wanted });
        const answer = Buffer.alloc(30, 'a');
        sender.on('data', () => transport.sendv([answer.subarray(0, 10), answer.subarray(10)]));
        const reports = new Reports(sender);
        peer.end('request');
        assert.deepEqual(await new Receiver(peer).read().closed, answer);
        assert.deepEqual(reports.errors, []);
      },
    );

    test(
      `${name}, ${wanted}: a message behind the peer's end is one EPIPE`,
      { skip },
      async (t) => {
        const { sender, receiver: peer } = await open(t);
        const transport = attach(sender, { strategy: wanted });
        const reports = new Reports(sender);
        peer.end();
        await once(sender, 'end');
        assert.ok(sender.writableEnded && !sender.destroyed);
        assert.equal(transport.send(Buffer.from('late')), false);
        await reports.closed;
        assert.deepEqual(reports.errors.map(codeOf), ['EPIPE']);
      },
    );
  }
}

test('no signal is raised', { skip: withoutAddon }, async (t) => {
  let signals = 0;
  const count = (): void => {
    signals++;
  };
  process.on('SIGPIPE', count);
  t.after(() => process.off('SIGPIPE', count));
  for (const open of [openTcp, openUnix]) {
    for (const strategy of socketStrategies) {
      // The stream's own writes raise it, and Node ignores it.
      if (strategy === 'cork' && open === openUnix) continue;
      await sendToNobody(await open(t), strategy);
    }
  }
  // Signals are delivered in the order in which they were raised.
  const marked = once(process, 'SIGUSR2');
  process.kill(process.pid, 'SIGUSR2');
  await marked;
  assert.equal(signals, 0);
});

/** Only sends on the descriptor: nothing is queued, and the peer's end is not read. */
async function sendToNobody(link: Link, strategy: Wanted): Promise<void> {
  assert.ok(link.sender instanceof Socket);
  link.sender.pause();
  const transport = attach(link.sender, { strategy });
  const reports = new Reports(link.sender);
  const closed = once(link.receiver, 'close');
  link.cut();
  await closed;
  while (transport.send(Buffer.from('anyone?'))) await tick();
  await reports.closed;
}
