/** The limit `memoryBytesMax`: what clients may take of the memory, and when it is given back. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Backend } from '../../lib/index.js';
import { addon } from '../../lib/native/load.js';
import { ByteClient, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { canMakeFaultyFiles, slowFile } from '../support/faulty-file.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { serve } from '../support/program.js';
import { eventLoopTurn, startServer, until } from '../support/server.js';

const mebibyte = 2 ** 20;
const requestBytesMax = 32 * mebibyte;

describe('resident memory', { skip: addon === undefined && 'needs the addon' }, () => {
  const budgetBytes = 256 * mebibyte;

  test('stays in the limit for clients that do not read, and returns after they left', async (t) => {
    const path = await fileOf(t, budgetBytes);
    const { server, uri } = await serve(t, [
      ...['--unix', join(await temporaryFolder(t), 'socket'), '--memory-max', '256M', path],
    ]);
    const startBytes = await residentBytes(server.pid);
    const clients: ByteClient[] = [];
    for (let count = 0; count < 24; count++) {
      const client = await openClient(uri);
      client.stream.pause();
      for (let index = 0; index < 8; index++) {
        client.request({
          type: cmd.read,
          offset: index * requestBytesMax,
          length: requestBytesMax,
        });
      }
      clients.push(client);
    }
    const peakBytes = await peakOver(server.pid, 3000);
    t.diagnostic(`start ${inMebibytes(startBytes)}, peak ${inMebibytes(peakBytes)}`);
    assert.ok(peakBytes > startBytes + budgetBytes / 2, 'the requests are served');
    assert.ok(peakBytes < startBytes + budgetBytes + 64 * mebibyte, inMebibytes(peakBytes));
    for (const { stream } of clients) stream.destroy();
    await setTimeout(5000);
    const endBytes = await residentBytes(server.pid);
    t.diagnostic(`end ${inMebibytes(endBytes)}`);
    assert.ok(endBytes < startBytes + 100 * mebibyte, inMebibytes(endBytes));
  });

  test('stays in the limit for clients that write to a slow disk', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const path = await slowFile(t, 'delay-write=5ms');
    const { server, uri } = await serve(t, [
      ...['--unix', join(await temporaryFolder(t), 'socket'), '--memory-max', '256M', path],
    ]);
    const startBytes = await residentBytes(server.pid);
    const request = requestBytes('simple', { type: cmd.write, length: requestBytesMax });
    const payload = Buffer.alloc(requestBytesMax, 7);
    const clients: ByteClient[] = [];
    for (let count = 0; count < 64; count++) {
      const client = await openClient(uri);
      client.stream.write(request);
      client.stream.write(payload);
      clients.push(client);
    }
    const peakBytes = await peakOver(server.pid, 3000);
    t.diagnostic(`start ${inMebibytes(startBytes)}, peak ${inMebibytes(peakBytes)}`);
    assert.ok(peakBytes > startBytes + budgetBytes / 2, 'the requests are served');
    assert.ok(peakBytes < startBytes + budgetBytes + 64 * mebibyte, inMebibytes(peakBytes));
    for (const { stream } of clients) stream.destroy();
    await setTimeout(5000);
    const endBytes = await residentBytes(server.pid);
    t.diagnostic(`end ${inMebibytes(endBytes)}`);
    assert.ok(endBytes < startBytes + 100 * mebibyte, inMebibytes(endBytes));
  });
});

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

async function fileOf(t: TestContext, bytes: number): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  const file = await open(path, 'w');
  // Data: holes take no memory.
  const piece = Buffer.alloc(mebibyte, 5);
  for (let at = 0; at < bytes; at += piece.length) await file.write(piece, 0, piece.length, at);
  await file.close();
  return path;
}

async function openClient(uri: string): Promise<ByteClient> {
  const socket = connect(new URL(uri).searchParams.get('socket') ?? '');
  await once(socket, 'connect');
  const client = new ByteClient(socket);
  await client.open();
  return client;
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'ascii');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function peakOver(pid: number, ms: number): Promise<number> {
  let peak = 0;
  for (let passed = 0; passed < ms; passed += 50) {
    peak = Math.max(peak, await residentBytes(pid));
    await setTimeout(50);
  }
  return peak;
}

function inMebibytes(bytes: number): string {
  return `${Math.round(bytes / mebibyte)} MiB`;
}
