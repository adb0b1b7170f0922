/** fio as the load: a process that is not ours, with processes of its own. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runFio } from '../candidates/fio.js';
import { diskBytes, exportName } from '../disk.js';
import { workload } from '../workloads.js';
import { createServer, type Backend } from '../../lib/index.js';
import type { Place } from '../place.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { needs } from '../../test/support/peers.js';

const connections = 2;
const asked = workload('unix', 'read-4k', 4, connections);

interface Served {
  readonly place: Extract<Place, { type: 'unix' }>;
  /** Settles when all of them read. */
  readonly reading: Promise<void>;
  /** Of each client that has read something; settles when it has gone. */
  readonly leaving: readonly Promise<void>[];
}

async function serve(t: TestContext): Promise<Served> {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const leaving: Promise<void>[] = [];
  const started = new EventEmitter();
  const open = (): Backend => {
    const client = new EventEmitter();
    client.once('read', () => {
      leaving.push(once(client, 'gone').then(() => undefined));
      if (leaving.length === connections) started.emit('all');
    });
    return {
      size: diskBytes,
      multiConn: true,
      read: (_, length) => {
        client.emit('read');
        return new Uint8Array(length);
      },
      write: () => undefined,
      close: () => void client.emit('gone'),
    };
  };
  const exports = { [exportName]: { backend: open, perConnection: true } };
  const server = createServer({ exports });
  await server.listen({ path });
  t.after(() => server.close());
  const reading = once(started, 'all').then(() => undefined);
  return { place: { type: 'unix', path }, reading, leaving };
}

test('it is gone, with all its jobs, once it is to stop', { timeout: 30_000 }, async (t) => {
  if (!needs(t, 'fio')) return;
  const { place, reading, leaving } = await serve(t);
  const stopping = new AbortController();
  const run = runFio('fio', place, asked, 3600, stopping.signal);
  await Promise.race([reading, run]);
  stopping.abort();
  await assert.rejects(run, { name: 'AbortError' });
  await Promise.all(leaving);
  assert.equal(leaving.length, connections);
});

test('it is not started where it is to stop before', async () => {
  const place = { type: 'unix', path: '/nowhere' } as const;
  const run = runFio('/does/not/exist', place, asked, 1, AbortSignal.abort());
  await assert.rejects(run, { name: 'AbortError' });
});

test('it says why it cannot generate the load', async (t) => {
  if (!needs(t, 'fio')) return;
  const place = { type: 'unix', path: '/nowhere' } as const;
  await assert.rejects(runFio('fio', place, asked, 1, t.signal), {
    code: 'NBDCORK_BENCH',
    message: /^fio cannot be the load: it ended with \d+\. .*No such file/s,
  });
});
