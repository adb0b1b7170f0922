/** Which servers can have several threads. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createServer, MemoryBackend, openSource, type ServerOptions } from '../../../lib/index.js';
import { limitsOfThread } from '../../../lib/server/threads/thread-options.js';
import { defaultLimits } from '../../../lib/limits.js';
import { withoutAddon } from '../../native/support/native.js';
import { watchThreads } from './support/threads.js';

const code = 'NBDCORK_BAD_THREADS';

test('the number of threads must be an integer from 1 to 64', () => {
  const exports = { '': new MemoryBackend(4096) };
  for (const threads of [0, -1, 1.5, 65, NaN]) {
    assert.throws(() => createServer({ exports, threads }), { name: 'NbdError', code });
  }
});

test('one thread starts no other', async (t) => {
  const workers = watchThreads(t);
  const server = createServer({ exports: { '': new MemoryBackend(4096) }, threads: 1 });
  await server.listen({ port: 0 });
  await server.close();
  assert.equal(workers.length, 0);
});

test('each thread has an equal part of the memory, and at least a byte', () => {
  assert.equal(limitsOfThread(defaultLimits, 4).memoryBytesMax, defaultLimits.memoryBytesMax / 4);
  assert.equal(limitsOfThread({ ...defaultLimits, memoryBytesMax: 1 }, 4).memoryBytesMax, 1);
});

describe('several threads are refused', { skip: withoutAddon }, () => {
  const memory = new MemoryBackend(4096);
  const refused: Readonly<Record<string, ServerOptions['exports']>> = {
    'a disk that one thread has': { '': memory },
    'a function that opens disks': { '': { backend: () => memory } },
    'a disk for each connection': { '': { backend: () => memory, perConnection: true } },
    'a finder': { find: () => memory },
  };
  for (const [name, exports] of Object.entries(refused)) {
    test(`for ${name}`, () => {
      assert.throws(() => createServer({ exports, threads: 2 }), { name: 'NbdError', code });
    });
  }

  test('for an export that clients can resize', async () => {
    const backend = await openSource('memory:4096', { shared: true });
    const exports = { '': { backend, resizable: true } };
    assert.throws(() => createServer({ exports, threads: 2 }), { code, message: /resizable/ });
    await backend.close?.();
  });
});

if (withoutAddon !== false) {
  test('several threads need the addon', async () => {
    const backend = await openSource('memory:4096', { readOnly: true });
    assert.throws(() => createServer({ exports: { '': backend }, threads: 2 }), {
      code,
      message: /addon/,
    });
  });
}
