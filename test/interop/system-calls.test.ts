/** What a request costs in system calls on its connection, as strace sees them. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { requestBytes } from '../support/byte-client.js';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { needsStrace } from '../support/peers.js';
import { programPath, RunningProgram } from '../support/program.js';

const sends = ['write', 'writev', 'sendto', 'sendmsg'];
const reads = ['read', 'readv', 'recvfrom', 'recvmsg'];

const readBytes = 4096;
const replyBytes = 16 + readBytes;

interface Load {
  readonly transmit: string;
  readonly connection: string;
  /** Requests in one write of the client, which waits for all replies before the next. */
  readonly depth: number;
  readonly rounds: number;
}

interface Counts {
  sends: number;
  reads: number;
  setsockopt: number;
}

/**
 * Calls from the read of the first request to the last that belongs to a reply.
 * strace names an interrupted call twice; only the first has its arguments.
 */
function count(log: string): Counts {
  const [, descriptor] = /accept4(?:\(| resumed).* = (\d+)$/m.exec(log) ?? [];
  assert.ok(descriptor !== undefined, 'no connection was accepted');
  const calls = [...log.matchAll(new RegExp(`^\\d+ +(\\w+)\\(${descriptor}\\b(.*)`, 'gm'))];
  const names = calls.map(([, name = '']) => name);
  // NBD_REQUEST_MAGIC as strace writes it. A read that had to wait is never libuv's.
  const first = calls.findIndex(
    ([, name = '', rest]) => reads.includes(name) && rest?.includes('"%`\\225\\23'),
  );
  assert.ok(first >= 0, 'no request was read');
  const last = names.findLastIndex((name) => !reads.includes(name));
  const serving = names.slice(first, last + 1);
  return {
    sends: serving.filter((name) => sends.includes(name)).length,
    reads: serving.filter((name) => reads.includes(name)).length,
    setsockopt: serving.filter((name) => name === 'setsockopt').length,
  };
}

async function measure(t: TestContext, load: Load): Promise<Counts> {
  const folder = await temporaryFolder(t);
  const log = join(folder, 'calls');
  const traced = ['accept4', 'setsockopt', ...sends, ...reads].join(',');
  const strace = ['strace', '-D', '-f', '-o', log, '-e', `trace=${traced}`] as const;
  const where = load.connection === 'TCP' ? ['--port', '0'] : ['--unix', join(folder, 'nbd.sock')];
  const server = new RunningProgram(
    t,
    ['serve', ...where, '--transmit', load.transmit, 'memory:1M'],
    { command: [...strace, process.execPath, programPath] },
  );
  const [uri = ''] = await server.uris();
  const { client } = await openExport(t, uri);
  const requests = Buffer.concat(
    Array.from({ length: load.depth }, (_, index) =>
      requestBytes('simple', { type: cmd.read, offset: index * readBytes, length: readBytes }),
    ),
  );
  for (let round = 0; round < load.rounds; round++) {
    client.send(requests);
    await client.take(load.depth * replyBytes);
  }
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  return count(await readFile(log, 'latin1'));
}

const withoutNative = process.env['NBDCORK_NO_NATIVE'] === '1' && 'NBDCORK_NO_NATIVE=1';

for (const connection of ['TCP', 'a Unix socket']) {
  describe(`batched over ${connection}`, { skip: withoutNative }, () => {
    test('at depth 64, at most 0.1 sends and 0.1 reads a request', async (t) => {
      if (!needsStrace(t)) return;
      const rounds = 50;
      const counts = await measure(t, { transmit: 'batched', connection, depth: 64, rounds });
      t.diagnostic(JSON.stringify(counts));
      const most = 0.1 * 64 * rounds;
      assert.ok(counts.sends <= most, `${counts.sends} sends`);
      assert.ok(counts.reads <= most, `${counts.reads} reads`);
      assert.equal(counts.setsockopt, 0);
    });

    test('at depth 1, exactly one of each', async (t) => {
      if (!needsStrace(t)) return;
      const counts = await measure(t, { transmit: 'batched', connection, depth: 1, rounds: 100 });
      assert.deepEqual(counts, { sends: 100, reads: 100, setsockopt: 0 });
    });
  });
}

describe('the strategies over TCP at depth 1, as documented in docs/transport.md', () => {
  for (const [transmit, sendsEach, setsockoptEach, native] of [
    ['plain', 2, 0, false],
    ['cork', 2, 2, true],
    ['more', 2, 0, true],
    ['vectored', 1, 0, true],
    ['stream', 1, 0, false],
  ] as const) {
    test(transmit, { skip: native && withoutNative }, async (t) => {
      if (!needsStrace(t)) return;
      const rounds = 20;
      const counts = await measure(t, { transmit, connection: 'TCP', depth: 1, rounds });
      assert.deepEqual(counts, {
        sends: sendsEach * rounds,
        reads: rounds,
        setsockopt: setsockoptEach * rounds,
      });
    });
  }
});
