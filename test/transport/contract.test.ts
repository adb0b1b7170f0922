/**
 * Every strategy on every kind of stream sends the same bytes in the same order,
 * for all sizes, calls and speeds of the reader.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { attach } from '../../lib/transport/index.js';
import { linkKinds, type LinkKind } from './support/links.js';
import { Material, seed } from './support/material.js';
import { Receiver, Reports } from './support/receiving.js';
import { play, script, type Operation } from './support/script.js';
import {
  skipReason,
  strategyInEffect,
  wantedStrategies,
  type Wanted,
} from './support/strategies.js';

const runsPerCase = 6;

for (const kind of linkKinds) {
  describe(kind.name, () => {
    for (const wanted of wantedStrategies) {
      test(wanted, { skip: skipReason(wanted, kind) }, async (t) => {
        t.diagnostic(`NBDCORK_TEST_SEED=${seed}`);
        const property = fc.asyncProperty(script, (operations) =>
          check(t, kind, wanted, operations),
        );
        await fc.assert(property, { seed, numRuns: runsPerCase });
      });
    }

    test('all strategies at once', { skip: kind.skip ?? false }, async (t) => {
      t.diagnostic(`NBDCORK_TEST_SEED=${seed}`);
      const scripts = fc.sample(script, { seed, numRuns: wantedStrategies.length });
      const cases = wantedStrategies.map((wanted, index) => ({
        wanted,
        operations: scripts[index] ?? [],
      }));
      await Promise.all(cases.map(({ wanted, operations }) => check(t, kind, wanted, operations)));
    });
  });
}

async function check(
  t: TestContext,
  kind: LinkKind,
  wanted: Wanted,
  operations: readonly Operation[],
): Promise<void> {
  const link = await kind.open(t);
  const transport = attach(link.sender, { strategy: wanted });
  assert.equal(transport.strategy, strategyInEffect(wanted, kind.family));
  const receiver = new Receiver(link.receiver).read();
  const reports = new Reports(link.sender);
  const material = new Material();

  await play(operations, transport, material, receiver);
  transport.end();
  receiver.read();

  assert.ok((await receiver.closed).equals(material.expected()), 'other bytes were received');
  await reports.closed;
  assert.ok(receiver.ended);
  assert.deepEqual(reports.errors, []);
  assert.equal(transport.queuedBytes, 0);
  assert.equal(transport.counters.bytes, material.expected().length);
}
