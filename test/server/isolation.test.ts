/** Whatever one client does, the one beside it is served as ever. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemoryBackend } from '../../lib/backend/memory/memory-backend.js';
import { type ByteClient, goData, optionBytes, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag, opt, u32, u64 } from '../support/numbers.js';
import { startServer, eventLoopTurn, until, type TestServer } from '../support/server.js';

const size = 2 ** 20;

/** What hostile clients do. The connection may or may not survive it. */
const attacks: Record<string, (serving: TestServer) => Promise<unknown>> = {
  'sends nonsense instead of the handshake': async ({ connect }) => {
    const client = await connect();
    client.send(pattern(100_000, 66));
    await client.closed;
  },
  'sends nonsense instead of requests': async ({ open }) => {
    const client = await open();
    client.send(pattern(1_000_000, 66));
    await client.closed;
  },
  'announces a payload and sends half of it': async ({ open }) => {
    const client = await open();
    client.send(
      requestBytes('simple', { type: cmd.write, length: 32 * 2 ** 20 - 100, offset: 0 }),
      pattern(size / 2, 1),
    );
    await eventLoopTurn();
  },
  'announces the longest payload there is': async ({ open }) => {
    const client = await open('extended');
    const flags = cmdFlag.payloadLen;
    client.send(requestBytes('extended', { type: cmd.write, flags, length: 2n ** 64n - 1n }));
    await client.closed;
  },
  'announces the longest option there is': async ({ connect }) => {
    const client = await connect();
    await client.greet();
    client.send(Buffer.from('IHAVEOPT'), u32(opt.go), u32(0xffffffff), Buffer.alloc(100_000));
    await client.closed;
  },
  'sends options without end': async ({ connect }) => {
    const client = await connect();
    await client.greet();
    client.send(...Array.from({ length: 2000 }, () => optionBytes(opt.list)));
    await client.closed;
  },
  'reads and reads, but never takes the replies': async ({ open }) => {
    const client = await open();
    client.stream.pause();
    for (let count = 0; count < 500; count++) client.request({ type: cmd.read, length: size });
    await eventLoopTurn();
  },
  'sends thousands of wrong requests': async ({ open }) => {
    const client = await open('structured');
    client.stream.pause();
    const wrong = requestBytes('structured', { type: 99, offset: 2n ** 64n - 1n });
    for (let count = 0; count < 20; count++) {
      client.send(...Array.from({ length: 1000 }, () => wrong));
    }
    await eventLoopTurn();
  },
  'asks for ranges at the end of all numbers': async ({ open }) => {
    const client = await open('extended');
    for (const offset of [2n ** 64n - 1n, 2n ** 63n, 2n ** 53n]) {
      for (const length of [2n ** 64n - 1n, 2n ** 63n, 2n ** 53n, 1n]) {
        for (const type of [cmd.read, cmd.trim, cmd.writeZeroes, cmd.cache]) {
          assert.notEqual((await client.call({ type, offset, length })).error, 0);
        }
      }
    }
  },
  'resets the connection in the middle of a payload': async ({ open }) => {
    const client = await open();
    client.send(requestBytes('simple', { type: cmd.write, length: 500_000 }), pattern(100_000));
    await eventLoopTurn();
    assert.ok(client.stream instanceof Socket);
    client.stream.resetAndDestroy();
  },
  'resets the connection while replies are under way': async ({ open }) => {
    const client = await open();
    for (let count = 0; count < 100; count++) client.request({ type: cmd.read, length: size });
    await client.take(100_000);
    assert.ok(client.stream instanceof Socket);
    client.stream.resetAndDestroy();
  },
  'comes and goes a hundred times': async ({ connect }) => {
    for (let count = 0; count < 100; count++) {
      const client = await connect();
      if (count % 2 === 0) client.send(u32(3), optionBytes(opt.go, goData('')));
      if (count % 3 === 0) client.stream.destroy();
      else client.stream.end();
    }
  },
};

/** A client whose every reply is checked, while the others do what they do. */
async function worksAsEver(client: ByteClient, seed: number): Promise<void> {
  for (let round = 0; round < 10; round++) {
    const payload = pattern(30_000 + round, seed * 100 + round);
    const offset = round * 1000;
    assert.equal((await client.call({ type: cmd.write, offset, payload })).error, 0);
    const { data } = await client.call({ type: cmd.read, offset, length: payload.length });
    assert.ok(data.equals(payload));
    await eventLoopTurn();
  }
}

describe('an ordinary client is not disturbed by one that', () => {
  for (const [what, attack] of Object.entries(attacks)) {
    test(what, async (t) => {
      const exports = { '': new MemoryBackend(size), own: new MemoryBackend(size) };
      const serving = await startServer(t, { exports }, 'TCP');
      const client = await serving.open('structured', 'own');
      await worksAsEver(client, 1);
      await Promise.all([attack(serving), worksAsEver(client, 2)]);
      await worksAsEver(client, 3);
      await worksAsEver(await serving.open('extended', 'own'), 4);
    });
  }

  test('sends random bytes, in the handshake and behind it', async (t) => {
    const exports = { '': new MemoryBackend(size), own: new MemoryBackend(size) };
    const serving = await startServer(t, { exports }, 'TCP');
    const client = await serving.open('simple', 'own');
    const bytes = fc.uint8Array({ maxLength: 300 });
    const beginnings = fc.constantFrom(
      Buffer.alloc(0),
      u32(3),
      Buffer.concat([u32(3), Buffer.from('IHAVEOPT')]),
      Buffer.concat([u32(3), Buffer.from('IHAVEOPT'), u32(opt.go), u32(40)]),
      Buffer.concat([u32(3), optionBytes(opt.exportName)]),
      Buffer.concat([u32(3), optionBytes(opt.exportName), u32(0x25609513)]),
      Buffer.concat([u32(3), optionBytes(opt.exportName), u32(0x25609513), u32(1), u64(0)]),
    );
    await fc.assert(
      fc.asyncProperty(beginnings, bytes, async (beginning, rest) => {
        const hostile = await serving.connect();
        hostile.send(beginning, rest);
        hostile.stream.end();
        await hostile.closed;
        await until(() => serving.server.connectionCount === 1);
        assert.equal((await client.call({ type: cmd.read, length: 10 })).error, 0);
      }),
      { numRuns: 300 },
    );
    await worksAsEver(client, 1);
  });
});

test('clients that come and leave while a disk hangs take no places from others', async (t) => {
  let measured = 0;
  const measure = (): Promise<void> => {
    measured++;
    return new Promise(() => undefined);
  };
  const hanging = { size: 4096, read: () => new Uint8Array(4096), measure };
  const exports = { hanging, other: new BufferDisk(pattern(4096)) };
  const { server, open, connect } = await startServer(t, {
    exports,
    limits: { connectionsMax: 2 },
  });
  const other = await open('simple', 'other');
  for (let count = 1; count <= 5; count++) {
    const client = await connect();
    await client.greet();
    client.send(optionBytes(opt.go, goData('hanging')));
    await until(() => measured > 0);
    client.stream.destroy();
    await until(() => server.connectionCount === 1);
  }
  assert.equal(measured, 1);
  assert.equal((await other.call({ type: cmd.read, length: 4096 })).error, 0);
});
