/** The memory of payloads: who owns it, and when it is copied. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryBackend } from '../../lib/backend/memory/memory-backend.js';
import type { Backend } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { ByteClient, headerKinds, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern, SlowDisk } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn } from '../support/server.js';

const size = 1 << 20;
const content = pattern(size);

for (const kind of connectionKinds) {
  for (const headers of headerKinds) {
    describe(`reading, with ${headers} headers on ${kind}`, () => {
      const piecewise: Backend = {
        size,
        read: (offset, length) => {
          const pieces: Uint8Array[] = [new Uint8Array(0)];
          for (let at = 0, step = 1; at < length; at += step, step = (step * 3) % 5000) {
            pieces.push(content.subarray(offset + at, offset + Math.min(at + step, length)));
          }
          return pieces;
        },
      };
      const sliced: Backend = {
        size,
        read: (offset, length) => content.subarray(offset, offset + length),
        readSlice: (offset, length, slice) => {
          slice.memory = content;
          slice.start = offset;
          return length % 2 === 0;
        },
      };
      const shared = new Uint8Array(new SharedArrayBuffer(size));
      shared.set(content);
      const backends: Record<string, Backend> = {
        'a view': new BufferDisk(content),
        'pieces of all sizes': piecewise,
        'a slice, or a view where there is none': sliced,
        'shared memory': {
          size,
          read: (offset, length) => shared.subarray(offset, offset + length),
        },
      };
      for (const [what, backend] of Object.entries(backends)) {
        test(`${what} returns the bytes`, async (t) => {
          const client = await (
            await startServer(t, { exports: { '': backend } }, kind)
          ).open(headers);
          const ranges = [
            [0, 1],
            [1, 2],
            [5, 4096],
            [4096, 4097],
            [100_001, 70_000],
            [0, size],
            [size - 1, 1],
          ] as const;
          for (const [offset, length] of ranges) {
            client.request({ type: cmd.read, offset, length });
          }
          for (const [offset, length] of ranges) {
            const { data } = await client.reply();
            assert.ok(data.equals(content.subarray(offset, offset + length)));
          }
        });
      }

      test('more than a thousand pieces are one reply', async (t) => {
        const backend: Backend = {
          size,
          read: (offset, length) =>
            Array.from({ length }, (_, at) => content.subarray(offset + at, offset + at + 1)),
        };
        const client = await (
          await startServer(t, { exports: { '': backend } }, kind)
        ).open(headers);
        const { data } = await client.call({ type: cmd.read, offset: 9, length: 3000 });
        assert.ok(data.equals(content.subarray(9, 3009)));
      });

      test('memory that was never written reads as zeros', async (t) => {
        const disk = new MemoryBackend(2 ** 40, { chunkBytes: 65_536 });
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const offset = 2 ** 39 + 1000;
        const { data: before } = await client.call({ type: cmd.read, offset, length: 200_000 });
        assert.ok(before.equals(Buffer.alloc(200_000)));
        await client.call({ type: cmd.write, offset, payload: content.subarray(0, 100_000) });
        const { data } = await client.call({ type: cmd.read, offset: offset - 5, length: 100_010 });
        const zeros = Buffer.alloc(5);
        assert.ok(data.equals(Buffer.concat([zeros, content.subarray(0, 100_000), zeros])));
      });
    });
  }
}

/** Provides its own memory for payloads, and notes whether they were received there. */
class TargetDisk extends BufferDisk {
  readonly targets: Uint8Array[] = [];

  writeTarget(offset: number, length: number): Uint8Array | undefined {
    const target = this.bytes.subarray(offset, offset + length);
    this.targets.push(target);
    return target;
  }

  override write(offset: number, data: Uint8Array, options: { fua: boolean }): void {
    const target = this.targets.pop();
    // A payload that arrived together with its request may lie elsewhere.
    this.calls.push(data === target ? 'in place' : 'elsewhere');
    void super.write(offset, data, options);
  }
}

for (const kind of connectionKinds) {
  for (const headers of headerKinds) {
    describe(`payloads that arrive in parts, with ${headers} headers on ${kind}`, () => {
      test('are received into the memory from writeTarget()', async (t) => {
        const disk = new TargetDisk(Buffer.alloc(size));
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        for (const length of [2, 100, 16_384, 300_000, size - 10]) {
          const write = client.expectReply({
            type: cmd.write,
            offset: 7,
            payload: pattern(length, length),
          });
          const bytes = requestBytes(headers, write);
          const cut = bytes.length - (length >> 1);
          client.send(bytes.subarray(0, cut));
          await eventLoopTurn();
          client.send(bytes.subarray(cut));
          assert.equal((await client.reply()).error, 0);
          assert.ok(disk.bytes.subarray(7, 7 + length).equals(pattern(length, length)));
        }
        assert.deepEqual(
          disk.calls.filter((call) => !call.startsWith('write')),
          Array.from({ length: 5 }, () => 'in place'),
        );
      });

      const targets: Record<string, () => Uint8Array | undefined> = {
        'returns undefined': () => undefined,
        'returns memory of another length': () => new Uint8Array(100),
        throws: () => {
          throw new Error('no memory here');
        },
      };
      for (const [what, writeTarget] of Object.entries(targets)) {
        test(`are passed to write() if writeTarget() ${what}`, async (t) => {
          const disk = Object.assign(new BufferDisk(Buffer.alloc(size)), { writeTarget });
          const client = await (
            await startServer(t, { exports: { '': disk } }, kind)
          ).open(headers);
          const payload = pattern(500_000, 3);
          assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
          assert.ok(disk.bytes.subarray(0, payload.length).equals(payload));
        });
      }
    });
  }
}

describe('large payloads that follow each other', () => {
  for (const kind of ['Unix', 'TCP', 'duplex'] as const) {
    for (const headers of headerKinds) {
      test(`are stored where they belong, on ${kind} with ${headers} headers`, async (t) => {
        const largeBytes = 700_000;
        const disk = new BufferDisk(Buffer.alloc(4 * largeBytes));
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const expected = Buffer.alloc(disk.bytes.length);
        const write = (offset: number, payload: Buffer): void => {
          payload.copy(expected, offset);
          client.request({ type: cmd.write, offset, payload });
        };
        write(0, pattern(largeBytes, 1));
        write(largeBytes, pattern(largeBytes, 2));
        client.request({ type: cmd.read, offset: 0, length: 1000 });
        write(2 * largeBytes, pattern(10, 3));
        write(3 * largeBytes, pattern(largeBytes, 4));
        write(2 * largeBytes + 10, pattern(1000, 5));
        for (let count = 0; count < 6; count++) assert.equal((await client.reply()).error, 0);
        assert.ok(disk.bytes.equals(expected));
      });
    }
  }
});

describe('a payload that arrives together with its request', () => {
  test("is a view of more for a backend with payloadLifetime 'call'", async (t) => {
    const given: Uint8Array[] = [];
    const backend: Backend = {
      size,
      payloadLifetime: 'call',
      read: () => new Uint8Array(0),
      write: (_offset, data) => void given.push(data),
    };
    const client = await (await startServer(t, { exports: { '': backend } })).open();
    assert.equal((await client.call({ type: cmd.write, payload: pattern(4096) })).error, 0);
    assert.equal(given[0]?.byteLength, 4096);
    assert.ok(given[0].buffer.byteLength > 4096);
  });

  test("stays as it is until its reply for a backend with payloadLifetime 'request'", async (t) => {
    const given: Uint8Array[] = [];
    const settle: (() => void)[] = [];
    const backend: Backend = {
      size,
      payloadLifetime: 'request',
      read: () => new Uint8Array(0),
      write: (_offset, data) => {
        given.push(data);
        return new Promise((resolve) => settle.push(resolve));
      },
      // Answered while the writes wait: both have arrived in reads of their own.
      trim: () => undefined,
    };
    const client = await (await startServer(t, { exports: { '': backend } })).open('structured');
    for (const seed of [1, 2]) {
      client.request({ type: cmd.write, payload: pattern(4096, seed) });
      assert.equal((await client.call({ type: cmd.trim, length: 1 })).error, 0);
    }
    assert.ok(given[0] && pattern(4096, 1).equals(given[0]));
    assert.ok(given[1] && pattern(4096, 2).equals(given[1]));
    for (const resolve of settle) resolve();
    for (let count = 0; count < 2; count++) assert.equal((await client.reply()).error, 0);
  });
});

describe('a backend that keeps its payloads', () => {
  test('has them unchanged when the client of a Duplex reuses its memory', async (t) => {
    const disk = new SlowDisk(t, Buffer.alloc(size));
    const { server } = await startServer(t, { exports: { '': disk } }, 'duplex');
    const [near, far] = duplexPair();
    t.after(() => near.destroy());
    // A client that shares memory with the server: no copy is made on the way.
    const push = far.push.bind(far);
    const shared: Buffer[] = [];
    far.push = (chunk: Buffer | null) => {
      if (chunk !== null) shared.push(chunk);
      return push(chunk);
    };
    void server.serve(far);
    const client = new ByteClient(near);
    await client.open();
    const payloads = [pattern(10, 1), pattern(5000, 2), pattern(60_000, 3)];
    const writes = payloads.map((payload) => client.expectReply({ type: cmd.write, payload }));
    near.write(Buffer.concat(writes.map((write) => requestBytes('simple', write))));
    await disk.callsStarted(3);
    for (const chunk of shared) chunk.fill(0xee);
    for (const payload of payloads) {
      assert.ok(payload.equals(disk.waiting[0]?.data ?? Buffer.alloc(0)));
      disk.finish();
      assert.equal((await client.reply()).error, 0);
    }
  });
});

describe('the other end of a Duplex that responds within a write', () => {
  for (const transmit of ['auto', 'plain'] as const) {
    for (const headers of headerKinds) {
      test(`is served in order by ${transmit}, with ${headers} headers`, async (t) => {
        const exports = { '': new BufferDisk(Buffer.from(content)) };
        const { server } = await startServer(t, { exports, transmit }, 'duplex');
        const [near, far] = duplexPair();
        t.after(() => near.destroy());
        // The other end has each chunk before `write` returns, even within its own event.
        near._write = (chunk: Buffer, _encoding, done) => {
          done();
          far.push(chunk);
        };
        void server.serve(far);
        const client = new ByteClient(near);
        await client.open(headers);
        const count = 2000;
        const cookies: bigint[] = [];
        const write = (index: number): Buffer => {
          const payload = pattern(100 + index);
          const asked = client.expectReply({ type: cmd.write, offset: 500_000, payload });
          cookies.push(asked.cookie);
          return requestBytes(headers, asked);
        };
        near.on('data', () => {
          if (cookies.length >= count) return;
          const asked = client.expectReply({
            type: cmd.read,
            offset: cookies.length,
            length: 1000,
          });
          cookies.push(asked.cookie);
          const bytes = requestBytes(headers, asked);
          near.write(bytes.subarray(0, 9));
          near.write(bytes.subarray(9));
        });
        near.write(Buffer.concat(Array.from({ length: 20 }, (_, index) => write(index))));
        for (let index = 0; index < count; index++) {
          const { cookie, error } = await client.reply();
          assert.equal(cookie, cookies[index]);
          assert.equal(error, 0);
        }
      });
    }
  }
});
