/** Which clients are disconnected for not reading, on a clock that the test advances. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { StallWatch } from '../../lib/server/stall-watch.js';
import type { ByteClient } from '../support/byte-client.js';
import { pattern, BufferDisk } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { connectionKinds, startServer, until } from '../support/server.js';

const mebibyte = 2 ** 20;

class Reader {
  progress: number | undefined;
  progressMin = 1;
  stalls = 0;
}

function watching(
  t: TestContext,
  timeoutMs = 1000,
): { watch: StallWatch<Reader>; pass: (ms: number) => void } {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 5000;
  const watching = {
    progress: ({ progress }: Reader) => progress,
    progressMin: ({ progressMin }: Reader) => progressMin,
    stalled: (reader: Reader) => {
      reader.stalls++;
    },
  };
  const watch = new StallWatch(timeoutMs, watching, () => now);
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
  test('that reads none of its replies stalls once, after the timeout', (t) => {
    const { watch, pass } = watching(t);
    const reader = new Reader();
    watch.add(reader);
    reader.progress = 100;
    pass(1000);
    assert.equal(reader.stalls, 0);
    pass(500);
    assert.equal(reader.stalls, 1);
    pass(5000);
    assert.equal(reader.stalls, 1);
  });

  test('that reads less than it must within the timeout stalls', (t) => {
    const { watch, pass } = watching(t);
    const [slow, fast] = [new Reader(), new Reader()];
    for (const reader of [slow, fast]) {
      reader.progress = 0;
      reader.progressMin = 100;
      watch.add(reader);
    }
    for (let passed = 0; passed < 10; passed++) {
      slow.progress = (slow.progress ?? 0) + 9;
      fast.progress = (fast.progress ?? 0) + 30;
      pass(200);
    }
    assert.deepEqual([slow.stalls, fast.stalls], [1, 0]);
  });

  test('that reads a little now and then does not stall', (t) => {
    const { watch, pass } = watching(t);
    const reader = new Reader();
    watch.add(reader);
    for (reader.progress = 1; reader.progress < 20; reader.progress++) pass(700);
    assert.equal(reader.stalls, 0);
  });

  test('without waiting replies does not stall', (t) => {
    const { watch, pass } = watching(t);
    const readers = [new Reader(), new Reader()];
    for (const reader of readers) watch.add(reader);
    pass(10_000);
    const [gone, stays] = readers;
    assert.ok(gone !== undefined && stays !== undefined);
    gone.progress = stays.progress = 0;
    pass(800);
    watch.delete(gone);
    pass(800);
    assert.deepEqual([gone.stalls, stays.stalls], [0, 1]);
  });

  test('never stalls with a timeout of 0', (t) => {
    const { watch, pass } = watching(t, 0);
    const reader = new Reader();
    reader.progress = 100;
    watch.add(reader);
    pass(10_000);
    assert.equal(reader.stalls, 0);
  });
});

for (const kind of connectionKinds) {
  test(`sendTimeoutMs disconnects a client that stops reading, on ${kind}`, async (t) => {
    const limits = { sendTimeoutMs: 100 };
    const { server, open } = await startServer(
      t,
      { exports: { '': new BufferDisk(pattern(mebibyte)) }, limits },
      kind,
    );
    const other = await open();
    await requestMuch(open);
    await until(() => server.connectionCount === 1);
    const reply = await other.call({ type: cmd.read, length: mebibyte });
    assert.ok(reply.data.equals(pattern(mebibyte)));
  });
}

for (const kind of connectionKinds) {
  test(`a client that reads a reply now and then stays connected, on ${kind}`, async (t) => {
    const sendTimeoutMs = 400;
    const { server, open } = await startServer(
      t,
      { exports: { '': new BufferDisk(pattern(mebibyte)) }, limits: { sendTimeoutMs } },
      kind,
    );
    const { stream } = await requestMuch(open);
    for (let round = 0; round < 12; round++) {
      await take(stream, mebibyte);
      // The test is about the time that passes.
      await setTimeout(sendTimeoutMs / 4);
    }
    assert.equal(server.connectionCount, 1);
  });
}

async function requestMuch(open: () => Promise<ByteClient>): Promise<ByteClient> {
  const client = await open();
  client.stream.pause();
  for (let count = 0; count < 64; count++) client.request({ type: cmd.read, length: mebibyte });
  return client;
}

function take(stream: ByteClient['stream'], bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let taken = 0;
    const count = (chunk: Buffer): void => {
      taken += chunk.length;
      if (taken < bytes) return;
      stream.off('data', count).pause();
      resolve();
    };
    stream.on('data', count).resume();
  });
}
