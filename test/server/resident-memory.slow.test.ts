/** How much memory the program takes for payloads of clients that use all they may. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { addon } from '../../lib/native/load.js';
import { requestBytes, type ByteClient } from '../support/byte-client.js';
import { openExport } from '../support/connecting.js';
import { canMakeFaultyFiles, slowFile } from '../support/faulty-file.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { inMebibytes, peakOver, residentBytes } from '../support/process-memory.js';
import { serve, type RunningProgram } from '../support/program.js';

const mebibyte = 2 ** 20;
const requestBytesMax = 32 * mebibyte;

const budgetBytes = 256 * mebibyte;

describe('resident memory', { skip: addon === undefined && 'needs the addon' }, () => {
  test('stays in the limit for clients that do not read, and returns after they left', async (t) => {
    // With this option data is not sent from the cache, where it would take no memory.
    const source = ['--drop-cache', await fileOf(t, budgetBytes)];
    await staysInLimit(t, source, 24, (client) => {
      client.stream.pause();
      for (let index = 0; index < 8; index++) {
        client.request({
          type: cmd.read,
          offset: index * requestBytesMax,
          length: requestBytesMax,
        });
      }
    });
  });

  test('stays in the limit for clients that write to a slow disk', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const path = await slowFile(t, 'delay-write=5ms');
    const request = requestBytes('simple', { type: cmd.write, length: requestBytesMax });
    const payload = Buffer.alloc(requestBytesMax, 7);
    const server = await staysInLimit(t, [path], 64, ({ stream }) => {
      stream.write(request);
      stream.write(payload);
    });
    // While the file is there: it is flushed.
    await server.stop();
  });
});

/** Clients that `act` and then leave. */
async function staysInLimit(
  t: TestContext,
  source: readonly string[],
  clientCount: number,
  act: (client: ByteClient) => void,
): Promise<RunningProgram> {
  const { server, uri } = await serve(t, [
    ...['--unix', join(await temporaryFolder(t), 'socket'), '--memory-max', '256M', ...source],
  ]);
  const startBytes = await residentBytes(server.pid);
  const clients: ByteClient[] = [];
  for (let count = 0; count < clientCount; count++) {
    const { client } = await openExport(t, uri);
    act(client);
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
  return server;
}

async function fileOf(t: TestContext, bytes: number): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  const file = await open(path, 'w');
  // Data: holes take no memory.
  const piece = Buffer.alloc(mebibyte, 5);
  for (let at = 0; at < bytes; at += piece.length) await file.write(piece, 0, piece.length, at);
  await file.close();
  return path;
}
