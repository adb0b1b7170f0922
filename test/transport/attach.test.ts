import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { codeOf } from '../../lib/errors.js';
import { addon } from '../../lib/native/load.js';
import { descriptorOf } from '../../lib/sockets/handle.js';
import { attach, headerBytesMax, strategyNames } from '../../lib/transport/index.js';
import { duplexPair } from './support/duplex.js';
import { linkKinds, openTcp, openUnix, temporaryFolder, type SocketLink } from './support/links.js';
import { Receiver, Reports, tick } from './support/receiving.js';
import {
  skipReason,
  socketStrategies,
  wantedStrategies,
  withoutAddon,
} from './support/strategies.js';

/** The strategies in effect for `wantedStrategies`. */
const inEffect = {
  tcp: ['plain', 'cork', 'more', 'vectored', 'batched', 'stream', 'batched'],
  unix: ['plain', 'plain', 'more', 'vectored', 'batched', 'stream', 'batched'],
  other: ['plain', 'plain', 'stream', 'stream', 'stream', 'stream', 'stream'],
};

/** Bytes that the kernel accepts while the peer does not read. */
function sendBufferBytes({ sender }: SocketLink): number {
  return addon?.send(descriptorOf(sender) ?? -1, new Uint8Array(2 ** 20), false) ?? 0;
}

describe('sendBufferBytes', { skip: withoutAddon }, () => {
  for (const strategy of strategyNames) {
    test(`sets the send buffer of a Unix socket, with ${strategy}`, async (t) => {
      const [usual, small] = [await openUnix(t), await openUnix(t)];
      attach(small.sender, { strategy, sendBufferBytes: 10_000 });
      assert.ok(sendBufferBytes(small) < sendBufferBytes(usual) / 2);
    });
  }

  test('does not change that of TCP', async (t) => {
    const [usual, other] = [await openTcp(t), await openTcp(t)];
    attach(other.sender, { sendBufferBytes: 10_000 });
    assert.equal(sendBufferBytes(other), sendBufferBytes(usual));
  });
});

describe('strategies in effect', () => {
  for (const kind of linkKinds) {
    test(kind.name, { skip: kind.skip ?? withoutAddon }, async (t) => {
      const { sender } = await kind.open(t);
      const names = wantedStrategies.map((strategy) => attach(sender, { strategy }).strategy);
      assert.deepEqual(names, inEffect[kind.family]);
      assert.equal(attach(sender).strategy, names.at(-1));
    });
  }

  test('on other streams', () => {
    const names = wantedStrategies.map(
      (strategy) => attach(new PassThrough(), { strategy }).strategy,
    );
    assert.deepEqual(names, inEffect.other);
  });

  test('without the addon, without a warning', async () => {
    const program = `
      import { connect, createServer } from 'node:net';
      import { attach } from ${JSON.stringify(new URL('../../lib/transport/index.js', import.meta.url))};
      const server = createServer().listen(0, '127.0.0.1', () => {
        const socket = connect(server.address().port, '127.0.0.1', () => {
          const names = ${JSON.stringify(wantedStrategies)};
          console.log(names.map((strategy) => attach(socket, { strategy }).strategy).join());
          socket.destroy();
          server.close();
        });
      });
    `;
    const run = promisify(execFile);
    const env = { ...process.env, NBDCORK_NO_NATIVE: '1' };
    const node = [process.execPath, '--input-type=module', '--eval', program] as const;
    const { stdout, stderr } = await run(node[0], node.slice(1), { env });
    assert.equal(stdout.trim(), inEffect.other.join());
    assert.equal(stderr, '');
  });
});

test("Nagle's algorithm is off", async (t) => {
  const { sender } = await openTcp(t);
  const setNoDelay = t.mock.method(sender, 'setNoDelay');
  attach(sender);
  assert.deepEqual(
    setNoDelay.mock.calls.map((call) => call.arguments),
    [[true]],
  );
});

test('an unknown strategy is refused', () => {
  // @ts-expect-error: JavaScript code may do this
  const attempt = (): unknown => attach(new PassThrough(), { strategy: 'fastest' });
  assert.throws(attempt, {
    name: 'NbdError',
    code: 'NBDCORK_BAD_STRATEGY',
    message: /'fastest'.*batched/,
  });
});

test('a socket that is connecting is refused', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const socket = connect(address.port, '127.0.0.1');
  t.after(() => socket.destroy());
  for (const strategy of wantedStrategies) {
    assert.throws(() => attach(socket, { strategy }), { code: 'NBDCORK_NOT_CONNECTED' });
  }
  await once(socket, 'connect');
  assert.equal(attach(socket, { strategy: 'plain' }).strategy, 'plain');
});

test('a header that is too long is refused', () => {
  const transport = attach(new PassThrough());
  for (const length of [headerBytesMax + 1, -1, NaN]) {
    assert.throws(() => transport.header(length), { code: 'NBDCORK_HEADER_TOO_LONG' });
  }
  assert.equal(transport.header(0), transport.header(headerBytesMax));
  assert.equal(transport.queuedBytes, headerBytesMax);
});

test('a piece outside its memory is refused', () => {
  const transport = attach(new PassThrough());
  const memory = Buffer.alloc(10);
  for (const [start, length] of [
    [-1, 5],
    [5, -1],
    [5, 6],
    [11, undefined],
    [NaN, 1],
  ] as const) {
    assert.throws(() => transport.append(memory, start, length), { code: 'NBDCORK_BAD_PIECE' });
  }
  transport.append(memory, 5);
  transport.append(memory, 10);
  assert.equal(transport.queuedBytes, 5);
});

for (const strategy of wantedStrategies) {
  describe(strategy, { skip: skipReason(strategy) }, () => {
    test('a message after end() is one error', async (t) => {
      const { sender } = await openTcp(t);
      const transport = attach(sender, { strategy });
      const reports = new Reports(sender);
      transport.end();
      assert.equal(transport.sendv([]), false);
      assert.ok(!sender.destroyed, 'an empty message is no write');
      assert.equal(transport.send(Buffer.from('late')), false);
      assert.equal(transport.send(Buffer.from('later')), false);
      await assert.rejects(transport.sent());
      await reports.closed;
      assert.deepEqual(reports.errors.map(codeOf), ['NBDCORK_WRITE_AFTER_END']);
      assert.equal(transport.counters.bytes, 0);
    });

    test('sent() after end()', async (t) => {
      const { sender, receiver } = await openUnix(t);
      const transport = attach(sender, { strategy });
      const received = new Receiver(receiver);
      transport.send(Buffer.alloc(1_000_000));
      transport.end();
      const sent = transport.sent();
      received.read();
      await sent;
      await transport.sent();
      assert.equal((await received.closed).length, 1_000_000);
    });

    test('a destroyed socket sends nothing', async (t) => {
      const { sender, receiver } = await openUnix(t);
      const transport = attach(sender, { strategy });
      const received = new Receiver(receiver).read();
      sender.destroy();
      const late = attach(sender, { strategy });
      for (const each of [transport, late]) {
        assert.equal(each.send(Buffer.from('late')), false);
        await tick();
        assert.equal(each.queuedBytes, 0);
        await assert.rejects(each.sent());
      }
      assert.equal((await received.closed).length, 0);
    });
  });
}

test('a file is written', async (t) => {
  const path = join(temporaryFolder(t), 'written');
  const transport = attach(createWriteStream(path));
  transport.sendv([Buffer.from('to be '), Buffer.from('kept')]);
  transport.end();
  await once(transport.stream, 'close');
  assert.equal(readFileSync(path, 'utf8'), 'to be kept');
});

describe(
  'a descriptor that was closed and belongs to another socket',
  { skip: withoutAddon },
  () => {
    for (const strategy of socketStrategies) {
      test(`${strategy} does not write to it`, async (t) => {
        const { sender } = await openTcp(t);
        const fd = descriptorOf(sender);
        const transport = attach(sender, { strategy });
        transport.gather();
        transport.send(Buffer.from('before'), true);
        sender.destroy();
        const { owner, peer } = await takeDescriptor(t, fd);
        assert.equal(transport.endMessage(), false);
        assert.equal(transport.send(Buffer.from('after')), false);
        assert.equal(transport.flush(), false);
        await tick();
        owner.end('its own');
        assert.equal(String(await new Receiver(peer).read().closed), 'its own');
      });
    }
  },
);

/** Open connections until one of their sockets has the descriptor `fd`. */
async function takeDescriptor(
  t: TestContext,
  fd: number | undefined,
): Promise<{ owner: Socket; peer: Socket }> {
  for (;;) {
    const { sender, receiver } = await openTcp(t);
    if (descriptorOf(sender) === fd) return { owner: sender, peer: receiver };
    if (descriptorOf(receiver) === fd) return { owner: receiver, peer: sender };
  }
}

describe('messages that are sent while another is being written', () => {
  for (const strategy of strategyNames) {
    test(strategy, async (t) => {
      const [near, far] = duplexPair();
      t.after(() => [near, far].forEach((stream) => stream.destroy()));
      const transport = attach(near, { strategy });
      let received = '';
      let answers = 0;
      far.on('data', (chunk: Buffer) => {
        received += chunk.toString();
        far.write('?');
      });
      near.on('data', () => {
        if (answers++ < 3) transport.sendv([Buffer.from('<'), Buffer.from(`${answers}>`)]);
      });
      await tick();
      transport.sendv([Buffer.from('['), Buffer.from('0'), Buffer.from(']')]);
      transport.end();
      await once(far, 'end');
      assert.equal(received, '[0]<1><2><3>');
    });
  }
});
