/** BLOCK_STATUS requests in flight count with the size that their replies may have. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Extent } from '../../lib/index.js';
import type { ByteClient } from '../support/byte-client.js';
import { cmd, cmdFlag } from '../support/numbers.js';
import { startServer, until } from '../support/server.js';

const requests = 20;
/** 1000 extents of 16 bytes a reply: four of them fit. */
const limits = { extentsMax: 1000, bytesInFlightMax: 64_000 };

interface Asked {
  readonly client: ByteClient;
  /** Answer a request, for each that the backend has. */
  readonly waiting: (() => void)[];
}

/** Send all requests to a disk that answers none. */
async function askAll(t: TestContext, flags: number): Promise<Asked> {
  const waiting: (() => void)[] = [];
  const disk = {
    size: 2 ** 30,
    read: (_offset: number, length: number) => new Uint8Array(length),
    extents: (_offset: number, length: number) =>
      new Promise<Extent[]>((resolve) => {
        waiting.push(() => {
          resolve([{ length, hole: false, zero: false }]);
        });
      }),
  };
  const client = await (await startServer(t, { exports: { '': disk }, limits })).connect();
  await client.open('extended', '', ['base:allocation']);
  for (let sent = 0; sent < requests; sent++) {
    client.request({ type: cmd.blockStatus, flags, length: 2 ** 20 });
  }
  return { client, waiting };
}

test('requests for many extents wait for each other', async (t) => {
  const { client, waiting } = await askAll(t, 0);
  for (let answered = 0; answered < requests; answered++) {
    await until(() => waiting.length >= Math.min(4, requests - answered));
    assert.ok(waiting.length <= 4);
    waiting.shift()?.();
    assert.equal((await client.reply()).error, 0);
  }
});

test('requests for one extent do not wait', async (t) => {
  const { client, waiting } = await askAll(t, cmdFlag.reqOne);
  await until(() => waiting.length === requests);
  for (const answer of waiting) {
    answer();
    assert.equal((await client.reply()).error, 0);
  }
});
