/** The limit `memoryBytesMax`: what clients may take of the memory, and when it is given back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend } from '../../lib/index.js';
import { requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { eventLoopTurn, startServer, until } from '../support/server.js';

const mebibyte = 2 ** 20;

describe('a request that does not fit into memoryBytesMax', () => {
  const limits = { memoryBytesMax: mebibyte };

  test('waits as a WRITE until another is answered', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(2 * mebibyte));
    const { open } = await startServer(t, { exports: { '': disk }, limits });
    const [first, second] = [await open(), await open()];
    const payload = pattern(mebibyte);
    first.request({ type: cmd.write, payload });
    await until(() => disk.waiting.length === 1);
    second.request({ type: cmd.write, offset: mebibyte, payload });
    for (let turn = 0; turn < 20; turn++) await eventLoopTurn();
    assert.equal(disk.waiting.length, 1);
    disk.finish();
    assert.equal((await first.reply()).error, 0);
    await until(() => disk.started === 2);
    disk.finish();
    assert.equal((await second.reply()).error, 0);
    assert.ok(disk.bytes.subarray(mebibyte).equals(payload));
  });

  test('waits as a READ until the reply to another has been sent', async (t) => {
    const bytes = pattern(2 * mebibyte);
    const disk = new BufferDisk(bytes);
    const { open } = await startServer(t, { exports: { '': disk }, limits });
    const [first, second] = [await open(), await open()];
    first.stream.pause();
    first.request({ type: cmd.read, length: mebibyte });
    await until(() => disk.calls.length === 1);
    second.request({ type: cmd.read, offset: mebibyte, length: mebibyte });
    // Small requests of other clients do not wait.
    const third = await open();
    for (let count = 0; count < 10; count++) {
      assert.equal((await third.call({ type: cmd.read, length: 4096 })).error, 0);
    }
    assert.ok(!disk.calls.includes(`read ${mebibyte} ${mebibyte}`));
    first.stream.resume();
    assert.ok((await first.reply()).data.equals(bytes.subarray(0, mebibyte)));
    assert.ok((await second.reply()).data.equals(bytes.subarray(mebibyte)));
  });

  test('is served alone where it is larger than the limit', async (t) => {
    const disk = new BufferDisk(Buffer.alloc(4 * mebibyte));
    const { open } = await startServer(t, { exports: { '': disk }, limits });
    const payload = pattern(3 * mebibyte);
    const clients = [await open(), await open()];
    for (const client of clients) client.request({ type: cmd.write, payload });
    for (const client of clients) assert.equal((await client.reply()).error, 0);
    assert.ok(disk.bytes.subarray(0, payload.length).equals(payload));
  });

  test('does not wait for a backend that reads in place', async (t) => {
    const disk = Object.assign(new BufferDisk(pattern(mebibyte)), { readsInPlace: true });
    const { open } = await startServer(t, { exports: { '': disk }, limits: { memoryBytesMax: 1 } });
    const stuck = await open();
    stuck.stream.pause();
    stuck.request({ type: cmd.read, length: mebibyte });
    await until(() => disk.calls.length === 1);
    assert.equal((await (await open()).call({ type: cmd.read, length: mebibyte })).error, 0);
  });

  test('is given up with its connection', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(2 * mebibyte));
    const { server, open } = await startServer(t, { exports: { '': disk }, limits });
    const [first, second] = [await open(), await open()];
    first.request({ type: cmd.write, payload: pattern(mebibyte) });
    await until(() => disk.waiting.length === 1);
    second.request({ type: cmd.read, length: mebibyte });
    await eventLoopTurn();
    first.stream.destroy();
    second.stream.destroy();
    disk.finish();
    await until(() => server.connectionCount < 2);
    const third = await open();
    third.request({ type: cmd.read, length: mebibyte });
    await until(() => {
      while (disk.waiting.length > 0) disk.finish();
      return third.receivedBytes > mebibyte;
    });
  });
});

test('a client that stalls in a payload loses its connection and its memory', async (t) => {
  const limits = { memoryBytesMax: mebibyte, sendTimeoutMs: 200 };
  const disk = new BufferDisk(Buffer.alloc(mebibyte));
  const { server, open } = await startServer(t, { exports: { '': disk }, limits });
  const [stalls, small, large] = [await open(), await open(), await open()];
  stalls.send(requestBytes('simple', { type: cmd.write, length: mebibyte }), pattern(mebibyte / 2));
  await eventLoopTurn();
  large.request({ type: cmd.read, length: mebibyte });
  assert.equal((await small.call({ type: cmd.read, length: 4096 })).error, 0);
  assert.equal((await large.reply()).data.length, mebibyte);
  await until(() => server.connectionCount === 2);
});

test('a client that trickles a payload loses the memory that others wait for', async (t) => {
  const limits = { memoryBytesMax: mebibyte, sendTimeoutMs: 200 };
  const disk = new BufferDisk(Buffer.alloc(mebibyte));
  const { server, open } = await startServer(t, { exports: { '': disk }, limits });
  const [trickles, large] = [await open(), await open()];
  trickles.send(requestBytes('simple', { type: cmd.write, length: mebibyte }));
  const timer = setInterval(() => {
    trickles.send(pattern(1));
  }, 10);
  t.after(() => {
    clearInterval(timer);
  });
  await eventLoopTurn();
  large.request({ type: cmd.read, length: mebibyte });
  assert.equal((await large.reply()).data.length, mebibyte);
  clearInterval(timer);
  await until(() => server.connectionCount === 1);
});

test('requests to a disk that hangs leave memory to those to other disks', async (t) => {
  const limits = { memoryBytesMax: 4 * mebibyte, sendTimeoutMs: 2 ** 31 - 1 };
  const hanging = new SlowDisk(t, Buffer.alloc(4 * mebibyte));
  const other = new BufferDisk(Buffer.alloc(mebibyte));
  const { open } = await startServer(t, { exports: { hanging, other }, limits });
  const [first, second, client] = [
    await open('simple', 'hanging'),
    await open('simple', 'hanging'),
    await open('simple', 'other'),
  ];
  for (const stuck of [first, second]) {
    for (let count = 0; count < 4; count++) {
      stuck.request({ type: cmd.write, offset: count * mebibyte, payload: pattern(mebibyte) });
    }
  }
  await until(() => hanging.waiting.length === 2);
  for (let count = 0; count < 10; count++) {
    const payload = pattern(mebibyte, count);
    assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
    assert.ok((await client.call({ type: cmd.read, length: mebibyte })).data.equals(payload));
  }
  assert.equal(hanging.started, 2);
  await until(() => {
    while (hanging.waiting.length > 0) hanging.finish();
    return first.receivedBytes === 4 * 16 && second.receivedBytes === 4 * 16;
  });
});

describe('releaseRead', () => {
  test('gets each result back once, when its reply has been sent or dropped', async (t) => {
    const length = mebibyte;
    const given: unknown[] = [];
    const released: unknown[] = [];
    const backend: Backend = {
      size: 4 * length,
      read: async (_offset, count) => {
        await eventLoopTurn();
        const bytes = new Uint8Array(count);
        given.push(bytes);
        return bytes;
      },
      releaseRead: (bytes) => void released.push(bytes),
    };
    const { open } = await startServer(t, { exports: { '': backend } });
    const client = await open('structured');
    await client.call({ type: cmd.read, length });
    await until(() => released.length === 1);
    client.stream.pause();
    for (let count = 0; count < 3; count++) client.request({ type: cmd.read, length });
    await until(() => given.length === 4);
    await eventLoopTurn();
    assert.ok(released.length < 4, 'replies wait');
    client.stream.destroy();
    await until(() => released.length === 4);
    assert.deepEqual(new Set(released), new Set(given));
  });
});
