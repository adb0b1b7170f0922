/** `handshakeTimeoutMs`, by a clock that the test turns. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { optionBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, opt, rep } from '../support/numbers.js';
import { connectionKinds, startServer } from '../support/server.js';

const options = {
  exports: { '': new BufferDisk(pattern(4096)) },
  limits: { handshakeTimeoutMs: 5000 },
};

for (const kind of connectionKinds) {
  describe(`a client that is slow to choose an export, on ${kind}`, () => {
    test('is disconnected at handshakeTimeoutMs having sent nothing', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const client = await (await startServer(t, options, kind)).connect();
      await client.take(18);
      t.mock.timers.tick(5000);
      assert.equal((await client.closed).length, 0);
    });

    test('is disconnected at handshakeTimeoutMs in the middle of an option', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const client = await (await startServer(t, options, kind)).connect();
      await client.greet();
      assert.equal((await client.option(opt.structuredReply)).at(-1)?.type, rep.ack);
      client.send(optionBytes(opt.go, Buffer.alloc(100)).subarray(0, 50));
      t.mock.timers.tick(5000);
      assert.equal((await client.closed).length, 0);
    });

    test('has 500 ms more for an export that it has listed', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const client = await (await startServer(t, options, kind)).connect();
      await client.greet();
      await client.option(opt.list);
      t.mock.timers.tick(5000);
      t.mock.timers.tick(499);
      assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
      t.mock.timers.tick(1);
      assert.equal((await client.closed).length, 0);
    });

    test('is not disconnected before', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const client = await (await startServer(t, options, kind)).connect();
      await client.greet();
      t.mock.timers.tick(4999);
      assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
    });

    test('is no longer disconnected after it has chosen one', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const client = await (await startServer(t, options, kind)).open();
      // Answered by the transmission phase: the handshake is over on the server's side too.
      assert.equal((await client.call({ type: cmd.flush })).error, 0);
      t.mock.timers.tick(60_000);
      assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
    });
  });
}
