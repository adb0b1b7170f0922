/** How much memory the program takes for payloads of clients that use all they may. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { addon } from '../../lib/native/load.js';
import { ByteClient, requestBytes } from '../support/byte-client.js';
import { canMakeFaultyFiles, slowFile } from '../support/faulty-file.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { serve } from '../support/program.js';

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
    // While the file is there: it is flushed.
    await server.stop();
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
