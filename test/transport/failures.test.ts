/** Failures of sends that a peer cannot cause on demand. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test, type TestContext } from 'node:test';
import { codeOf } from '../../lib/errors.js';
import type { NativeAddon } from '../../lib/native/addon.js';
import { addon } from '../../lib/native/load.js';
import { BatchedTransport } from '../../lib/transport/batched.js';
import { CorkTransport } from '../../lib/transport/cork.js';
import { descriptorOf } from '../../lib/sockets/handle.js';
import type { Transport } from '../../lib/transport/index.js';
import { MoreTransport } from '../../lib/transport/more.js';
import { VectoredTransport } from '../../lib/transport/vectored.js';
import { countCalls } from './support/calls.js';
import { openTcp, type SocketLink } from './support/links.js';
import { Receiver, Reports } from './support/receiving.js';
import { withoutAddon } from './support/strategies.js';

const socketTransports = [CorkTransport, MoreTransport, VectoredTransport, BatchedTransport];
const { EAGAIN, ENOBUFS, ENOMEM, ECONNRESET } = constants.errno;
const pieces = [Buffer.from('one '), Buffer.from('two '), Buffer.from('three')];
const whole = 'one two three';

interface Case extends SocketLink {
  readonly transport: Transport;
  readonly reports: Reports;
}

async function open(
  t: TestContext,
  TransportClass: (typeof socketTransports)[number],
  instead: Partial<NativeAddon>,
): Promise<Case> {
  const link = await openTcp(t);
  const fd = descriptorOf(link.sender) ?? -1;
  const transport = new TransportClass(link.sender, fd, countCalls(instead).counted);
  return { ...link, transport, reports: new Reports(link.sender) };
}

function corkOf(link: SocketLink): number | undefined {
  return addon?.getCork(descriptorOf(link.sender) ?? -1);
}

/** Replaces the first call. Later calls are those of the addon. */
function first(name: 'send' | 'sendmsg', answer: () => number): Partial<NativeAddon> {
  assert.ok(addon !== undefined);
  const { send, sendmsg } = addon;
  let called = false;
  const instead = (): number | undefined => {
    if (called) return undefined;
    called = true;
    return answer();
  };
  return name === 'send'
    ? { send: (...given) => instead() ?? send(...given) }
    : { sendmsg: (...given) => instead() ?? sendmsg(...given) };
}

describe('failures of the descriptor', { skip: withoutAddon }, () => {
  for (const TransportClass of socketTransports) {
    const call =
      TransportClass === CorkTransport || TransportClass === MoreTransport ? 'send' : 'sendmsg';
    for (const errno of [EAGAIN, ENOBUFS, ENOMEM]) {
      test(`${TransportClass.name}: errno ${errno} leaves the message to the stream`, async (t) => {
        const link = await open(
          t,
          TransportClass,
          first(call, () => -errno),
        );
        link.transport.sendv(pieces);
        link.transport.flush();
        assert.equal(link.transport.counters.shortSends, 1);
        assert.equal(link.transport.counters.fallbacks, 1);
        assert.equal(corkOf(link), 0);
        link.transport.end();
        assert.equal(String(await new Receiver(link.receiver).read().closed), whole);
        assert.deepEqual(link.reports.errors, []);
      });
    }

    test(`${TransportClass.name}: any other errno is one error`, async (t) => {
      const link = await open(
        t,
        TransportClass,
        first(call, () => -ECONNRESET),
      );
      link.transport.gather();
      link.transport.sendv(pieces);
      assert.equal(link.transport.flush(), false);
      assert.equal(link.transport.send(Buffer.from('more')), false);
      await link.reports.closed;
      assert.deepEqual(link.reports.errors.map(codeOf), ['ECONNRESET']);
      assert.equal(link.transport.counters.bytes, 0);
      assert.equal(link.transport.queuedBytes, 0);
    });
  }

  test('TCP_CORK is off before the socket of a failed send is closed', async (t) => {
    const link = await open(
      t,
      CorkTransport,
      first('send', () => {
        corks.push(corkOf(link));
        return -ECONNRESET;
      }),
    );
    const corks: (number | undefined)[] = [];
    const destroy = link.sender.destroy.bind(link.sender);
    t.mock.method(link.sender, 'destroy', (error?: Error) => {
      corks.push(corkOf(link));
      return destroy(error);
    });
    link.transport.sendv(pieces);
    assert.deepEqual(corks, [1, 0]);
    await link.reports.closed;
  });

  for (const TransportClass of [CorkTransport, MoreTransport]) {
    test(`${TransportClass.name}: an error in the middle of a message is one error`, async (t) => {
      let sends = 0;
      const link = await open(t, TransportClass, {
        send: (fd, bytes, more) =>
          sends++ === 0 ? (addon?.send(fd, bytes, more) ?? 0) : -ECONNRESET,
      });
      const { transport, reports } = link;
      assert.equal(transport.sendv(pieces), false);
      assert.equal(transport.counters.bytes, 4);
      assert.equal(transport.queuedBytes, 0);
      await reports.closed;
      assert.deepEqual(reports.errors.map(codeOf), ['ECONNRESET']);
      assert.equal(String(await new Receiver(link.receiver).read().closed), 'one ');
    });

    test(`${TransportClass.name}: a short send is followed by the rest of its piece`, async (t) => {
      const sent: string[] = [];
      const link = await open(t, TransportClass, {
        send: (fd, bytes, more) => {
          sent.push(Buffer.from(bytes).toString());
          return addon?.send(fd, sent.length === 2 ? bytes.subarray(0, 2) : bytes, more) ?? 0;
        },
      });
      link.transport.sendv(pieces);
      assert.deepEqual(sent, ['one ', 'two ', 'o ', 'three']);
      assert.equal(link.transport.counters.shortSends, 1);
      assert.equal(link.transport.counters.fallbacks, 0);
      assert.equal(corkOf(link), 0);
      link.transport.end();
      assert.equal(String(await new Receiver(link.receiver).read().closed), whole);
    });
  }

  test('TCP_CORK is off after a send throws', async (t) => {
    const link = await open(t, CorkTransport, {
      send: () => {
        throw new RangeError('as the addon throws for memory that was transferred');
      },
    });
    assert.throws(() => link.transport.sendv(pieces), RangeError);
    assert.equal(corkOf(link), 0);
  });
});
