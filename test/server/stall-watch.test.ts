/** Who is cut for not reading, by a clock that the test turns. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { StallWatch, type Watched } from '../../lib/server/stall-watch.js';
import { pattern, BufferDisk } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { places, serve, until } from '../support/serving.js';

class Reader implements Watched {
  waitingBytes = 0;
  cuts = 0;

  stalled(): void {
    this.cuts++;
  }
}

function watching(t: TestContext): { watch: StallWatch; pass: (ms: number) => void } {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 5000;
  const watch = new StallWatch(1000, () => now);
  return {
    watch,
    pass: (ms) => {
      for (let passed = 0; passed < ms; passed += 50) {
        now += 50;
        t.mock.timers.tick(50);
      }
    },
  };
}

describe('a client', () => {
  test('that reads nothing of what waits is cut once, after the timeout', (t) => {
    const { watch, pass } = watching(t);
    const reader = new Reader();
    watch.add(reader);
    reader.waitingBytes = 100;
    pass(1000);
    assert.equal(reader.cuts, 0);
    pass(500);
    assert.equal(reader.cuts, 1);
    pass(5000);
    assert.equal(reader.cuts, 1);
  });

  test('that reads a little now and then is not', (t) => {
    const { watch, pass } = watching(t);
    const reader = new Reader();
    watch.add(reader);
    for (reader.waitingBytes = 20; reader.waitingBytes > 1; reader.waitingBytes--) pass(700);
    assert.equal(reader.cuts, 0);
  });

  test('for which nothing waits is not', (t) => {
    const { watch, pass } = watching(t);
    const readers = [new Reader(), new Reader()];
    for (const reader of readers) watch.add(reader);
    pass(10_000);
    const [gone, stays] = readers;
    assert.ok(gone !== undefined && stays !== undefined);
    gone.waitingBytes = stays.waitingBytes = 1;
    pass(800);
    watch.delete(gone);
    pass(800);
    assert.deepEqual([gone.cuts, stays.cuts], [0, 1]);
  });
});

for (const place of places) {
  test(`sendTimeoutMs cuts a client that stops to read, on ${place}`, async (t) => {
    const limits = { sendTimeoutMs: 100 };
    const { server, open } = await serve(
      t,
      { exports: { '': new BufferDisk(pattern(2 ** 20)) }, limits },
      place,
    );
    const [client, other] = [await open(), await open()];
    client.stream.pause();
    for (let count = 0; count < 64; count++) client.request({ type: cmd.read, length: 2 ** 20 });
    await until(() => server.connectionCount === 1);
    const reply = await other.call({ type: cmd.read, length: 2 ** 20 });
    assert.ok(reply.data.equals(pattern(2 ** 20)));
  });
}
