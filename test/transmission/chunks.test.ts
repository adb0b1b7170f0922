/** "Structured reply types": data and holes in chunks, and reads that fail after a part. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBackend, PartialError, zeros, type Backend, type Bytes } from '../../lib/index.js';
import { pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const chunked = ['structured', 'extended'] as const;
const data = 1;
const hole = 2;
const errorOffset = 0x8002;
const size = 65_536;

function answering(read: (offset: number, length: number) => Bytes): Backend {
  return { size, read };
}

describe('holes', () => {
  for (const headers of chunked) {
    test(`are sent for memory that was never written, with ${headers} headers`, async (t) => {
      const disk = new MemoryBackend(2 ** 20, { chunkBytes: 4096 });
      disk.write(8192, pattern(4096));
      const { open } = await startServer(t, { exports: { '': disk } });
      const client = await open(headers);
      const reply = await client.call({ type: cmd.read, offset: 1000, length: 20_000 });
      assert.deepEqual(client.lastChunks, [
        { type: hole, length: 7192 },
        { type: data, length: 4096 },
        { type: hole, length: 8712 },
      ]);
      const expected = Buffer.alloc(20_000);
      expected.set(pattern(4096), 7192);
      assert.ok(reply.data.equals(expected));

      const empty = await client.call({ type: cmd.read, offset: 65_536, length: 4096 });
      assert.deepEqual(client.lastChunks, [{ type: hole, length: 4096 }]);
      assert.ok(empty.data.equals(Buffer.alloc(4096)));
    });

    test(`are data if the client set DF, with ${headers} headers`, async (t) => {
      const disk = new MemoryBackend(2 ** 20, { chunkBytes: 4096 });
      disk.write(8192, pattern(4096));
      const { open } = await startServer(t, { exports: { '': disk } });
      const client = await open(headers);
      const { df: flags } = cmdFlag;
      const reply = await client.call({ type: cmd.read, flags, offset: 4096, length: 12_288 });
      assert.deepEqual(client.lastChunks, [{ type: data, length: 12_288 }]);
      assert.ok(reply.data.subarray(4096, 8192).equals(pattern(4096)));
      await client.call({ type: cmd.read, flags, offset: 0, length: 4096 });
      assert.deepEqual(client.lastChunks, [{ type: data, length: 4096 }]);
    });
  }

  test('longer than a page of zeros are one chunk', async (t) => {
    const { open } = await startServer(t, { exports: { '': new MemoryBackend(2 ** 30) } });
    const client = await open('extended');
    await client.call({ type: cmd.read, offset: 12_345, length: 2 ** 25 });
    assert.deepEqual(client.lastChunks, [{ type: hole, length: 2 ** 25 }]);
  });

  test('a few zeros are data, and empty pieces are no chunks', async (t) => {
    const pieces = [
      ...[Buffer.alloc(0), ...zeros(100), pattern(400)],
      ...[Buffer.alloc(0), ...zeros(3000), Buffer.alloc(0)],
    ];
    const { open } = await startServer(t, { exports: { '': answering(() => pieces) } });
    const client = await open('structured');
    const reply = await client.call({ type: cmd.read, offset: 7, length: 3500 });
    assert.deepEqual(client.lastChunks, [
      { type: data, length: 500 },
      { type: hole, length: 3000 },
    ]);
    assert.ok(
      reply.data.equals(Buffer.concat([Buffer.alloc(100), pattern(400), Buffer.alloc(3000)])),
    );
  });

  test('are sent as zeros in simple replies', async (t) => {
    const { open } = await startServer(t, {
      exports: { '': answering((_, length) => zeros(length)) },
    });
    const client = await open('simple');
    const reply = await client.call({ type: cmd.read, offset: 0, length: 5000 });
    assert.ok(reply.data.equals(Buffer.alloc(5000)));
  });
});

describe('a read that fails after a part', () => {
  const failing = (got: (offset: number) => Bytes | undefined, doneBytes = 1000): Backend =>
    answering((offset) => {
      const bytes = got(offset);
      throw new PartialError('EIO', 'The platter is scratched.', {
        failedAt: offset + doneBytes,
        ...(bytes !== undefined && { data: bytes }),
      });
    });
  const request = { type: cmd.read, offset: 4096, length: 8192 };

  for (const headers of chunked) {
    for (const flags of [0, cmdFlag.df]) {
      test(`returns the data before the failure, then its offset: ${headers}, flags ${flags}`, async (t) => {
        const backend = failing(() => [pattern(600), pattern(400, 9)]);
        const { open } = await startServer(t, { exports: { '': backend } });
        const client = await open(headers);
        const reply = await client.call({ ...request, flags });
        assert.deepEqual(
          client.lastChunks.map(({ type }) => type),
          [data, errorOffset],
        );
        assert.equal(reply.error, err.EIO);
        assert.match(reply.message, /The platter is scratched/);
        assert.ok(reply.data.equals(Buffer.concat([pattern(600), pattern(400, 9)])));
      });
    }
  }

  test('returns only the offset if the data has the wrong length', async (t) => {
    const { open } = await startServer(t, { exports: { '': failing(() => pattern(999)) } });
    const client = await open('structured');
    const reply = await client.call(request);
    assert.deepEqual(
      client.lastChunks.map(({ type }) => type),
      [errorOffset],
    );
    assert.equal(reply.error, err.EIO);
  });

  test('is an error without offset if failedAt is outside of the request', async (t) => {
    for (const doneBytes of [-1, 8192, Number.NaN]) {
      const { open } = await startServer(t, {
        exports: { '': failing(() => undefined, doneBytes) },
      });
      const client = await open('structured');
      assert.equal((await client.call(request)).error, err.EIO);
      assert.deepEqual(
        client.lastChunks.map(({ type }) => type),
        [0x8001],
      );
    }
  });

  test('is a simple error with simple replies', async (t) => {
    const { open } = await startServer(t, { exports: { '': failing(() => pattern(1000)) } });
    const client = await open('simple');
    assert.equal((await client.call(request)).error, err.EIO);
  });
});
