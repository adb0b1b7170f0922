/** "Request types": each command, with every kind of headers and connection. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NbdError, type Backend } from '../../lib/index.js';
import { headerKinds } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { connectionKinds, startServer } from '../support/server.js';

const size = 300_000;
const content = pattern(size);
const newDisk = (): BufferDisk => new BufferDisk(Buffer.from(content));

for (const kind of connectionKinds) {
  for (const headers of headerKinds) {
    const payloadLen = headers === 'extended' ? cmdFlag.payloadLen : 0;

    describe(`with ${headers} headers on ${kind}`, () => {
      test('READ returns the bytes of its range', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        for (const [offset, length] of [
          [0, 1],
          [size - 1, 1],
          [1, 511],
          [4096, 4096],
          [12_345, 200_000],
          [0, size],
        ] as const) {
          const { error, data } = await client.call({ type: cmd.read, offset, length });
          assert.equal(error, 0);
          assert.ok(data.equals(content.subarray(offset, offset + length)));
        }
      });

      test('WRITE changes its range and nothing else', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const expected = Buffer.from(content);
        for (const [offset, length] of [
          [0, 1],
          [size - 1, 1],
          [100, 4096],
          [777, 16 * 1024],
          [5000, 250_000],
          [0, size],
        ] as const) {
          const payload = pattern(length, offset + 7);
          expected.set(payload, offset);
          const { error } = await client.call({ type: cmd.write, offset, payload });
          assert.equal(error, 0);
          assert.ok(disk.bytes.equals(expected));
        }
        assert.equal(disk.calls.length, 6);
      });

      test('FLUSH, TRIM, CACHE and WRITE_ZEROES reach the backend', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const range = { offset: 4096, length: 8192 };
        for (const fields of [
          { type: cmd.flush },
          { type: cmd.trim, ...range },
          { type: cmd.cache, ...range },
          { type: cmd.writeZeroes, ...range },
          { type: cmd.writeZeroes, ...range, flags: cmdFlag.noHole },
          { type: cmd.writeZeroes, ...range, flags: cmdFlag.fastZero },
          { type: cmd.writeZeroes, ...range, flags: cmdFlag.noHole | cmdFlag.fastZero },
        ]) {
          assert.equal((await client.call(fields)).error, 0);
        }
        assert.deepEqual(disk.calls, [
          'flush',
          'trim 4096 8192',
          'cache 4096 8192',
          'writeZeroes 4096 8192',
          'writeZeroes 4096 8192 noHole',
          'writeZeroes 4096 8192 fast',
          'writeZeroes 4096 8192 noHole fast',
        ]);
        const { data } = await client.call({ type: cmd.read, offset: 4000, length: 200 });
        const expected = Buffer.concat([content.subarray(4000, 4096), Buffer.alloc(104)]);
        assert.deepEqual(data, expected);
      });

      test('FUA is passed to a backend that supports it', async (t) => {
        const disk = Object.assign(newDisk(), { fua: true });
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const range = { offset: 0, length: 512 };
        for (const fields of [
          { type: cmd.write, offset: 9, payload: pattern(512), flags: cmdFlag.fua | payloadLen },
          { type: cmd.trim, ...range, flags: cmdFlag.fua },
          { type: cmd.writeZeroes, ...range, flags: cmdFlag.fua },
        ]) {
          assert.equal((await client.call(fields)).error, 0);
        }
        assert.deepEqual(disk.calls, [
          'write 9 512 fua',
          'trim 0 512 fua',
          'writeZeroes 0 512 fua',
        ]);
      });

      test('FUA is a flush after the command for a backend that does not support it', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        const range = { offset: 0, length: 512 };
        for (const fields of [
          { type: cmd.write, offset: 9, payload: pattern(512), flags: cmdFlag.fua | payloadLen },
          { type: cmd.trim, ...range, flags: cmdFlag.fua },
          { type: cmd.writeZeroes, ...range, flags: cmdFlag.fua },
        ]) {
          assert.equal((await client.call(fields)).error, 0);
          assert.equal(disk.calls.at(-1), 'flush');
        }
        assert.equal(disk.calls.length, 6);
      });

      test('FUA on commands that write nothing is accepted', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        for (const fields of [
          { type: cmd.read, length: 512, flags: cmdFlag.fua },
          { type: cmd.flush, flags: cmdFlag.fua },
          { type: cmd.cache, length: 512, flags: cmdFlag.fua },
        ]) {
          assert.equal((await client.call(fields)).error, 0);
        }
        assert.deepEqual(disk.calls, ['read 0 512', 'flush', 'cache 0 512']);
      });

      test('requests of length 0 succeed without calling the backend', async (t) => {
        const disk = newDisk();
        const client = await (await startServer(t, { exports: { '': disk } }, kind)).open(headers);
        for (const offset of [0, 100, size]) {
          for (const type of [cmd.read, cmd.write, cmd.trim, cmd.cache, cmd.writeZeroes]) {
            const { error, data } = await client.call({ type, offset, length: 0 });
            assert.equal(error, 0);
            assert.equal(data.length, 0);
          }
        }
        assert.deepEqual(disk.calls, []);
        const { data } = await client.call({ type: cmd.read, offset: 1, length: 2 });
        assert.deepEqual(data, content.subarray(1, 3));
      });

      test('cookies are returned unchanged', async (t) => {
        const client = await (
          await startServer(t, { exports: { '': newDisk() } }, kind)
        ).open(headers);
        for (const cookie of [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
          await client.call({ type: cmd.read, cookie, length: 16 });
          await client.call({ type: cmd.write, cookie, payload: Buffer.alloc(16) });
          await client.call({ type: 0xffff, cookie });
        }
      });

      test('many requests in one packet are all answered, in order', async (t) => {
        const client = await (
          await startServer(t, { exports: { '': newDisk() } }, kind)
        ).open(headers);
        const cookies = Array.from({ length: 500 }, (_, index) =>
          client.request({ type: cmd.read, offset: index, length: 1 + (index % 50) }),
        );
        for (const [index, cookie] of cookies.entries()) {
          const reply = await client.reply();
          assert.equal(reply.cookie, cookie);
          assert.deepEqual(reply.data, content.subarray(index, index + 1 + (index % 50)));
        }
      });
    });
  }
}

// "With extended headers, the flag MUST be set for NBD_CMD_WRITE", but QEMU 10.0 leaves it off.
describe('WRITE without PAYLOAD_LEN', () => {
  for (const length of [1, 4096, 100_000]) {
    test(`still has its payload, of ${length} bytes`, async (t) => {
      const disk = newDisk();
      const client = await (await startServer(t, { exports: { '': disk } })).open('extended');
      const payload = pattern(length, 5);
      for (const [index, flags] of [0, cmdFlag.fua].entries()) {
        const offset = 1000 + index * length;
        const write = client.request({ type: cmd.write, offset, payload, flags });
        const read = client.request({ type: cmd.read, offset, length });
        const written = await client.reply();
        assert.deepEqual([written.cookie, written.error], [write, 0]);
        const reply = await client.reply();
        assert.equal(reply.cookie, read);
        assert.ok(reply.data.equals(payload));
      }
    });
  }

  test('closes the connection if it exceeds the longest payload', async (t) => {
    const disk = newDisk();
    const client = await (await startServer(t, { exports: { '': disk } })).open('extended');
    client.request({ type: cmd.write, length: 2n ** 40n, flags: 0 });
    assert.equal((await client.reply()).error, err.ENOSPC);
    assert.equal((await client.closed).length, 0);
    assert.deepEqual(disk.calls, []);
  });
});

describe('ranges beyond 4 GiB', () => {
  const far = 2 ** 53 - 1 - 100;
  const disk = { size: 2 ** 53 - 1 };

  for (const headers of headerKinds) {
    test(`with ${headers} headers, offsets up to 2^53 - 1 are exact`, async (t) => {
      const calls: string[] = [];
      const backend = {
        ...disk,
        read: (offset: number, length: number) => {
          calls.push(`read ${offset}`);
          return pattern(length, 5);
        },
        write: (offset: number) => void calls.push(`write ${offset}`),
      };
      const client = await (await startServer(t, { exports: { '': backend } })).open(headers);
      const { data } = await client.call({ type: cmd.read, offset: far, length: 100 });
      assert.deepEqual(data, pattern(100, 5));
      await client.call({ type: cmd.write, offset: 2 ** 40 + 1, payload: Buffer.alloc(7) });
      assert.deepEqual(calls, [`read ${far}`, `write ${2 ** 40 + 1}`]);
    });
  }

  test('effect lengths are exact with extended headers', async (t) => {
    const calls: string[] = [];
    const note = (name: string) => (offset: number, length: number) =>
      void calls.push(`${name} ${offset} ${length}`);
    const backend = {
      ...disk,
      read: (_offset: number, length: number) => new Uint8Array(length),
      write: () => undefined,
      trim: note('trim'),
      cache: note('cache'),
      writeZeroes: note('writeZeroes'),
    };
    const client = await (await startServer(t, { exports: { '': backend } })).open('extended');
    const length = 2n ** 53n - 1n;
    for (const type of [cmd.trim, cmd.cache, cmd.writeZeroes]) {
      assert.equal((await client.call({ type, length })).error, 0);
    }
    assert.deepEqual(
      calls,
      ['trim', 'cache', 'writeZeroes'].map((name) => `${name} 0 9007199254740991`),
    );
  });
});

describe('the DF flag', () => {
  for (const headers of ['structured', 'extended'] as const) {
    test(`is accepted on READ with ${headers} headers`, async (t) => {
      const client = await (await startServer(t, { exports: { '': newDisk() } })).open(headers);
      const fields = { type: cmd.read, offset: 3, length: 65_536, flags: cmdFlag.df };
      assert.ok((await client.call(fields)).data.equals(content.subarray(3, 65_539)));
    });
  }
});

describe('FAST_ZERO that would be slow', () => {
  for (const headers of headerKinds) {
    test(`is ENOTSUP with ${headers} headers, and the same request without it is not`, async (t) => {
      const disk = newDisk();
      const backend: Backend = {
        size,
        read: (offset, length) => disk.read(offset, length),
        write: (offset, data, options) => disk.write(offset, data, options),
        writeZeroes: (offset, length, options) => {
          if (options.fast) throw new NbdError('ENOTSUP', 'Zeros are written like other bytes.');
          return disk.writeZeroes(offset, length, options);
        },
      };
      const client = await (await startServer(t, { exports: { '': backend } })).open(headers);
      const request = { type: cmd.writeZeroes, offset: 100, length: 5000 };
      for (const flags of [cmdFlag.fastZero, cmdFlag.fastZero | cmdFlag.noHole]) {
        assert.equal((await client.call({ ...request, flags })).error, err.ENOTSUP);
      }
      assert.ok(disk.bytes.equals(content), 'nothing was changed');
      assert.equal((await client.call(request)).error, 0);
      assert.ok(disk.bytes.subarray(100, 5100).equals(Buffer.alloc(5000)));
    });
  }
});
