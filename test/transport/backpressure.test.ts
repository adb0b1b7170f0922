/** A reader that stops, so that the kernel accepts only a part of a message. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { attach, type Transport } from '../../lib/transport/index.js';
import { linkKinds, type LinkKind } from './support/links.js';
import { Material, seed } from './support/material.js';
import { fill, Receiver, Reports } from './support/receiving.js';
import { writeHeader } from './support/script.js';
import {
  assertUncorked,
  skipReason,
  socketStrategies,
  wantedStrategies,
  type Wanted,
} from './support/strategies.js';

for (const kind of linkKinds) {
  describe(kind.name, () => {
    for (const wanted of wantedStrategies) {
      describe(wanted, { skip: skipReason(wanted, kind) }, () => {
        test('short sends, drain and borrowed memory', (t) => stopAndGo(t, kind, wanted));
        test('long vectors and many headers', (t) => longVectors(t, kind, wanted));
      });
    }
  });
}

interface Stalled {
  readonly transport: Transport;
  readonly receiver: Receiver;
  readonly reports: Reports;
  readonly material: Material;
}

async function stalled(t: TestContext, kind: LinkKind, wanted: Wanted): Promise<Stalled> {
  t.diagnostic(`NBDCORK_TEST_SEED=${seed}`);
  const link = await kind.open(t);
  return {
    transport: attach(link.sender, { strategy: wanted }),
    receiver: new Receiver(link.receiver),
    reports: new Reports(link.sender),
    material: new Material(),
  };
}

function isSocketStrategy({ strategy }: Transport): boolean {
  return socketStrategies.some((name) => name === strategy);
}

function reply(transport: Transport, material: Material, length: number): boolean {
  writeHeader(transport, material.piece(16));
  transport.append(material.piece(length));
  return transport.endMessage();
}

async function stopAndGo(t: TestContext, kind: LinkKind, wanted: Wanted): Promise<void> {
  const { transport, receiver, reports, material } = await stalled(t, kind, wanted);

  fill(transport, material);
  assertUncorked(transport.stream);
  assert.ok(!transport.sendv(material.pieces([0, 10, 5000])), 'accepted, but wait for drain');
  assert.ok(!reply(transport, material, 100));
  assert.ok(!transport.flush());
  assert.ok(transport.queuedBytes > 5000);
  if (isSocketStrategy(transport)) {
    assert.ok(transport.counters.shortSends > 0);
    assert.ok(transport.counters.fallbacks > 0);
    assert.ok(transport.counters.streamWrites > 0);
  }

  receiver.read();
  await transport.drained();
  assert.equal(transport.queuedBytes, 0);
  material.overwrite();

  // The stream is empty again, so socket strategies use the descriptor again.
  const { sends, streamWrites } = transport.counters;
  for (let count = 0; count < 300; count++) reply(transport, material, count);
  transport.flush();
  assertUncorked(transport.stream);
  assert.equal(transport.counters.sends > sends, isSocketStrategy(transport));
  assert.ok(isSocketStrategy(transport) || transport.counters.streamWrites > streamWrites);
  const sent = transport.sent();
  receiver.read();
  await sent;
  assert.equal(transport.queuedBytes, 0, 'all is sent');
  material.overwrite();
  await finish({ transport, receiver, reports, material });
}

async function longVectors(t: TestContext, kind: LinkKind, wanted: Wanted): Promise<void> {
  const { transport, receiver, reports, material } = await stalled(t, kind, wanted);

  transport.sendv(material.pieces(new Array<number>(5000).fill(999)));
  transport.gather();
  for (let count = 0; count < 5000; count++) {
    writeHeader(transport, material.piece(count % 40));
    transport.endMessage();
  }
  for (let count = 0; count < 700; count++) reply(transport, material, count);
  transport.flush();
  assertUncorked(transport.stream);
  await finish({ transport, receiver, reports, material });
}

async function finish({ transport, receiver, reports, material }: Stalled): Promise<void> {
  receiver.read();
  transport.end();
  assert.ok((await receiver.closed).equals(material.expected()), 'other bytes were received');
  assert.ok(receiver.ended);
  await reports.closed;
  assert.deepEqual(reports.errors, []);
  assert.equal(transport.queuedBytes, 0);
}
