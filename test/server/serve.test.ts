/** serve(): one client on a stream that is connected to it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { createServer } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { eventLoopTurn } from '../support/server.js';

const content = pattern(100_000);

describe('serve()', () => {
  test('settles when the client is gone', async (t) => {
    const server = createServer({ exports: { '': new BufferDisk(content) } });
    t.after(() => server.close());
    const [near, far] = duplexPair();
    let settled = false;
    const serving = server.serve(far).then(() => (settled = true));
    for (let count = 0; count < 10; count++) await eventLoopTurn();
    assert.equal(settled, false);
    assert.equal(server.connectionCount, 1);
    near.end();
    near.resume();
    await serving;
    assert.equal(server.connectionCount, 0);
  });

  test('of a stream that is closed settles at once', async (t) => {
    const server = createServer({ exports: { '': new BufferDisk(content) } });
    t.after(() => server.close());
    const [, far] = duplexPair();
    far.destroy();
    await once(far, 'close');
    await server.serve(far);
    assert.equal(server.connectionCount, 0);
  });

  test('of a stream that fails settles', async (t) => {
    const server = createServer({ exports: { '': new BufferDisk(content) } });
    t.after(() => server.close());
    const [, far] = duplexPair();
    const serving = server.serve(far);
    far.destroy(new Error('the line is dead'));
    await serving;
    assert.equal(server.connectionCount, 0);
  });
});
