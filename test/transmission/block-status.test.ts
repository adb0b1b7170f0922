/** NBD_CMD_BLOCK_STATUS and its two kinds of chunks. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { Backend, Extent, Limits, MetaContext, StatusExtent } from '../../lib/index.js';
import { type ByteClient, type Headers } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, cmdFlag, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';
import { contextListData } from '../support/status.js';

const chunked = ['structured', 'extended'] as const;
const tebibyte = 2 ** 40;
const reads = (_offset: number, length: number): Uint8Array => new Uint8Array(length);

/** A disk that is data, then hole, then zeros, by turns and in pieces of `unit` bytes. */
function striped(size: number, unit: number): Backend {
  return {
    size,
    read: reads,
    *extents(offset) {
      for (let at = offset; at < size;) {
        const number = Math.floor(at / unit);
        const end = Math.min((number + 1) * unit, size);
        yield { length: end - at, hole: number % 3 === 1, zero: number % 3 !== 0 };
        at = end;
      }
    },
  };
}

function diskWith(extents: readonly Extent[], size = tebibyte): Backend {
  return { size, read: reads, extents: () => extents };
}

function withContext(status: MetaContext['status'], wide = false): Backend {
  return { size: tebibyte, read: reads, contexts: [{ name: 'x-test:it', wide, status }] };
}

async function open(
  t: TestContext,
  backend: Backend,
  headers: Headers,
  contexts: readonly string[] = ['base:allocation'],
  limits: Partial<Limits> = {},
): Promise<ByteClient> {
  const client = await (await startServer(t, { exports: { '': backend }, limits })).connect();
  await client.open(headers, '', contexts);
  return client;
}

/** The extents in the reply, of the only context. */
async function ask(
  client: ByteClient,
  offset: number,
  length: number,
  flags = 0,
): Promise<[number, number][]> {
  const reply = await client.call({ type: cmd.blockStatus, flags, offset, length });
  assert.equal(reply.error, 0, reply.message);
  assert.equal(client.lastStatus.length, 1);
  const [status] = client.lastStatus;
  assert.ok(status !== undefined);
  assert.equal(status.id, client.contextIds[0]);
  return status.extents.map(([bytes, bits]) => [Number(bytes), Number(bits)]);
}

async function fails(
  client: ByteClient,
  offset: number,
  length: number | bigint,
): Promise<{ error: number; message: string }> {
  const reply = await client.call({ type: cmd.blockStatus, offset, length });
  assert.deepEqual(client.lastStatus, []);
  assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
  return reply;
}

for (const headers of chunked) {
  describe(`BLOCK_STATUS with ${headers} headers`, () => {
    test('distinguishes holes and zeros from data', async (t) => {
      const client = await open(t, striped(100_000, 10_000), headers);
      assert.deepEqual(await ask(client, 5000, 30_000), [
        [5000, 0],
        [10_000, 3],
        [10_000, 2],
        [10_000, 0],
      ]);
      assert.deepEqual(await ask(client, 99_999, 1), [[1, 0]]);
      assert.deepEqual(await ask(client, 0, 10_000), [[10_000, 0]]);
      assert.equal((await ask(client, 0, 100_000)).length, 10);
    });

    test('reports allocated data for a backend without extents()', async (t) => {
      const client = await open(t, new BufferDisk(pattern(5000)), headers);
      assert.deepEqual(await ask(client, 1000, 1000), [[4000, 0]]);
      assert.deepEqual(await ask(client, 1000, 1000, cmdFlag.reqOne), [[1000, 0]]);
    });

    test('returns one extent for REQ_ONE, at most as long as the range', async (t) => {
      const disk = striped(100_000, 10_000);
      const client = await open(t, disk, headers);
      for (const [offset, length, expected] of [
        [0, 100_000, 10_000],
        [0, 5000, 5000],
        [12_345, 50_000, 7655],
        [99_999, 1, 1],
      ] as const) {
        const [extent, ...others] = await ask(client, offset, length, cmdFlag.reqOne);
        assert.equal(extent?.[0], expected);
        assert.deepEqual(others, []);
      }
    });

    test('merges adjacent extents with equal flags', async (t) => {
      const hole = { length: 512, hole: true, zero: true };
      const data = { length: 512, hole: false, zero: false };
      const client = await open(t, diskWith([hole, hole, data, data, data, hole]), headers);
      assert.deepEqual(await ask(client, 0, 4096), [
        [1024, 3],
        [1536, 0],
        [512, 3],
      ]);
      assert.deepEqual(await ask(client, 0, 4096, cmdFlag.reqOne), [[1024, 3]]);
      assert.deepEqual(await ask(client, 0, 700, cmdFlag.reqOne), [[700, 3]]);
      // The second hole reaches past what was asked for, and that is known anyway.
      assert.deepEqual(await ask(client, 0, 600), [[1024, 3]]);
    });

    test('does not iterate past the requested range', async (t) => {
      let asked = 0;
      let ended = false;
      const disk = diskWith([]);
      disk.extents = function* () {
        try {
          for (; ; asked++) yield { length: 4096, hole: asked % 2 === 0, zero: true };
        } finally {
          ended = true;
        }
      };
      const client = await open(t, disk, headers);
      await ask(client, 0, 40_960);
      assert.deepEqual([asked, ended], [9, true]);
      [asked, ended] = [0, false];
      await ask(client, 0, 40_960, cmdFlag.reqOne);
      assert.deepEqual([asked, ended], [1, true]);
    });

    test('passes range and options to the backend', async (t) => {
      const calls: unknown[] = [];
      const disk = diskWith([]);
      disk.extents = (...call) => {
        calls.push(call);
        return [{ length: 1, hole: false, zero: false }];
      };
      const client = await open(t, disk, headers);
      await ask(client, 7, 9);
      await ask(client, 8, 10, cmdFlag.reqOne);
      assert.deepEqual(calls, [
        [7, 9, { one: false }],
        [8, 10, { one: true }],
      ]);
    });

    test('returns at most extentsMax extents, and the client continues from there', async (t) => {
      const client = await open(t, striped(2 ** 20, 512), headers, undefined, { extentsMax: 100 });
      const seen: [number, number][] = [];
      for (let at = 0; at < 2 ** 20;) {
        const extents = await ask(client, at, 2 ** 20 - at);
        assert.ok(extents.length <= 100);
        seen.push(...extents);
        at += extents.reduce((sum, [length]) => sum + length, 0);
      }
      const expected = Array.from({ length: 2048 }, (_, number) => [512, [0, 3, 2][number % 3]]);
      assert.deepEqual(seen, expected);
    });

    test('does not exceed the maximum payload', async (t) => {
      const disk = striped(2 ** 24, 512);
      const limits = { requestBytesMax: 4096 };
      const client = await open(t, disk, headers, undefined, limits);
      const extents = await ask(client, 0, 2 ** 24);
      assert.ok(extents.length > 100 && extents.length * 16 <= 4096);
    });

    test('sends one chunk for each context, with its own extents', async (t) => {
      const disk = striped(100_000, 50_000);
      const contexts = ['a', 'b'].map((leaf, index) => ({
        name: `x-test:${leaf}`,
        status: (offset: number): StatusExtent[] => [
          { length: 1 + offset, flags: 2 ** 31 + index },
        ],
      }));
      const names = ['x-test:b', 'base:allocation', 'x-test:a'];
      const client = await open(t, Object.assign(disk, { contexts }), headers, names);
      assert.equal((await client.call({ type: cmd.blockStatus, offset: 9, length: 99 })).error, 0);
      assert.deepEqual(
        new Map(client.lastStatus.map(({ id, extents }) => [id, extents])),
        new Map([
          [client.contextIds[0], [[10n, 2n ** 31n + 1n]]],
          [client.contextIds[1], [[49_991n, 0n]]],
          [client.contextIds[2], [[10n, 2n ** 31n]]],
        ]),
      );
    });

    test('waits for asynchronous backends', async (t) => {
      const disk = diskWith([]);
      const contexts = [1, 2].map((flags) => ({
        name: `x-test:${flags}`,
        status: (_offset: number, length: number) => Promise.resolve([{ length, flags }]),
      }));
      disk.extents = async (_offset, length) => {
        await Promise.resolve();
        return [{ length, hole: true, zero: false }];
      };
      const names = ['base:allocation', 'x-test:1', 'x-test:2'];
      const client = await open(t, Object.assign(disk, { contexts }), headers, names);
      // The second one is there before the first is answered.
      for (const length of [4096, 8192]) client.request({ type: cmd.blockStatus, length });
      for (const length of [4096n, 8192n]) {
        assert.equal((await client.reply()).error, 0);
        assert.deepEqual(
          client.lastStatus.map(({ extents }) => extents),
          [[[length, 1n]], [[length, 1n]], [[length, 2n]]],
        );
      }
    });

    test('may have the FUA flag if that is advertised', async (t) => {
      const client = await open(t, new BufferDisk(pattern(5000)), headers);
      assert.deepEqual(await ask(client, 0, 5000, cmdFlag.fua), [[5000, 0]]);
    });

    for (const [what, offset, length] of [
      ['no bytes', 0, 0],
      ['a byte behind the end', tebibyte, 1],
      ['one byte too many', tebibyte - 99, 100],
      ['everything and more from somewhere', 2 ** 62, 2 ** 31],
    ] as const) {
      test(`of ${what} is EINVAL`, async (t) => {
        const client = await open(t, diskWith([], tebibyte), headers);
        assert.equal((await fails(client, offset, length)).error, err.EINVAL);
      });
    }

    test('without a context is EINVAL', async (t) => {
      const client = await open(t, striped(5000, 100), headers, []);
      assert.equal((await fails(client, 0, 100)).error, err.EINVAL);
    });

    test('with the flags of another command is EINVAL', async (t) => {
      const client = await open(t, striped(5000, 100), headers);
      for (const flags of [cmdFlag.df, cmdFlag.noHole, cmdFlag.fastZero, 64]) {
        const reply = await client.call({ type: cmd.blockStatus, flags, length: 100 });
        assert.equal(reply.error, err.EINVAL);
      }
    });

    test('returns multiples of the minimum block size', async (t) => {
      // The last 100 bytes of the disk are not a whole block: clients cannot request them.
      const disk = {
        ...diskWith([], 4096 + 100),
        blockSize: { minimum: 512, preferred: 4096, maximum: 2 ** 20 },
        extents: (offset: number) => [{ length: 4196 - offset, hole: true, zero: true }],
      };
      const client = await open(t, disk, headers);
      assert.deepEqual(await ask(client, 512, 512), [[3584, 3]]);
      assert.equal((await fails(client, 256, 512)).error, err.EINVAL);
      assert.equal((await fails(client, 0, 100)).error, err.EINVAL);
      disk.extents = () => [{ length: 100, hole: true, zero: true }];
      assert.equal((await fails(client, 0, 512)).error, err.EIO);
    });

    const broken: Readonly<Record<string, () => unknown>> = {
      'throws an error': () => {
        throw Object.assign(new Error('the store is unavailable'), { code: 'EIO' });
      },
      'is rejected': () => Promise.reject(new Error('the store is unavailable')),
      'throws after an extent': function* () {
        yield { length: 512, flags: 0 };
        throw new Error('the store is unavailable');
      },
      'returns no extents': () => [],
      'returns undefined': () => undefined,
      'returns null later': () => Promise.resolve(null),
      'returns a length of 0': () => [{ length: 0, flags: 0 }],
      'returns a length of -1': () => [{ length: -1, flags: 0 }],
      'returns a length of 0.5': () => [{ length: 0.5, flags: 0 }],
      'returns an infinite length': () => [{ length: Infinity, flags: 0 }],
      'returns a string for a length': () => [{ length: '512', flags: 0 }],
      'returns flags of 33 bits': () => [{ length: 512, flags: 2 ** 32 }],
      'returns flags of 33 bits as a bigint': () => [{ length: 512, flags: 2n ** 32n }],
      'returns negative flags': () => [{ length: 512, flags: -1 }],
      'returns fractional flags': () => [{ length: 512, flags: 0.5 }],
      'returns no flags': () => [{ length: 512 }],
    };
    for (const [what, status] of Object.entries(broken)) {
      test(`fails, without other effects, if a context ${what}`, async (t) => {
        const disk = withContext(() => [{ length: 1, flags: 0 }]);
        Object.assign(disk.contexts?.[0] ?? {}, { status });
        const names = ['base:allocation', 'x-test:it'];
        const client = await open(t, disk, headers, names);
        const { error, message } = await fails(client, 0, 4096);
        assert.equal(error, err.EIO);
        assert.ok(message.length > 20);
      });
    }
  });
}

describe('extents of more than 32 bits', () => {
  const hole = { length: tebibyte, hole: true, zero: true };

  test('are sent whole with extended headers', async (t) => {
    const client = await open(t, diskWith([hole]), 'extended');
    assert.deepEqual(await ask(client, 0, 512), [[tebibyte, 3]]);
    assert.deepEqual(await ask(client, 0, tebibyte), [[tebibyte, 3]]);
    assert.deepEqual(await ask(client, 0, 2 ** 33, cmdFlag.reqOne), [[2 ** 33, 3]]);
  });

  test('are split with structured replies', async (t) => {
    const client = await open(t, diskWith([hole]), 'structured');
    const cut = 2 ** 32 - 2 ** 16;
    assert.deepEqual(await ask(client, 0, 512), [[cut, 3]]);
    // "The sum of the length fields of the first N-1 extents MUST be less" than this.
    assert.deepEqual(await ask(client, 0, 2 ** 32 - 1), [
      [cut, 3],
      [cut, 3],
    ]);
    assert.deepEqual(await ask(client, 0, 2 ** 32 - 1, cmdFlag.reqOne), [[2 ** 32 - 1, 3]]);
  });

  test('apply to flags too, as numbers or as bigints', async (t) => {
    const flags = [2 ** 52 + 1, 2n ** 64n - 1n, 5, 5n, 2n ** 32n + 5n];
    const disk = withContext(() => flags.map((value) => ({ length: 512, flags: value })), true);
    const client = await open(t, disk, 'extended', ['x-test:it']);
    assert.equal((await client.call({ type: cmd.blockStatus, length: 4096 })).error, 0);
    assert.deepEqual(client.lastStatus[0]?.extents, [
      [512n, 2n ** 52n + 1n],
      [512n, 2n ** 64n - 1n],
      [1024n, 5n],
      [512n, 2n ** 32n + 5n],
    ]);
  });

  test('of flags are rejected beyond 64 bits', async (t) => {
    const disk = withContext(() => [{ length: 512, flags: 2n ** 64n }], true);
    const client = await open(t, disk, 'extended', ['x-test:it']);
    assert.equal((await fails(client, 0, 4096)).error, err.EIO);
  });
});

describe('a BLOCK_STATUS with a list of contexts', () => {
  const names = ['base:allocation', 'x-test:it'];
  const disk = (): Backend => withContext((_offset, length) => [{ length, flags: 9 }]);
  const withList = (offset: number, length: number | bigint, ids: readonly number[]) => ({
    type: cmd.blockStatus,
    flags: cmdFlag.payloadLen,
    offset,
    payload: contextListData(length, ids),
  });

  test('reports the contexts that it lists', async (t) => {
    const client = await open(t, disk(), 'extended', names);
    for (const ids of [
      client.contextIds,
      client.contextIds.slice(0, 1),
      client.contextIds.slice(1),
    ]) {
      const { error } = await client.call(withList(4096, 2 ** 33, ids));
      assert.equal(error, 0);
      assert.deepEqual(client.lastStatus.map(({ id }) => id).sort(), [...ids].sort());
    }
    assert.deepEqual(client.lastStatus[0]?.extents, [[2n ** 33n, 9n]]);
    assert.deepEqual((await client.call({ type: cmd.blockStatus, length: 1 })).error, 0);
    assert.equal(client.lastStatus.length, 2, 'the next one is about all again');
  });

  test('may have REQ_ONE', async (t) => {
    const client = await open(t, disk(), 'extended', names);
    const fields = withList(0, 5000, client.contextIds.slice(0, 1));
    await client.call({ ...fields, flags: cmdFlag.payloadLen | cmdFlag.reqOne });
    assert.deepEqual(client.lastStatus[0]?.extents, [[5000n, 0n]]);
  });

  test('may arrive in parts', async (t) => {
    const client = await open(
      t,
      Object.assign(disk(), { payloadLifetime: 'call' as const }),
      'extended',
      names,
    );
    const fields = client.expectReply(withList(0, 5000, client.contextIds.slice(1)));
    const bytes = Buffer.concat([
      Buffer.from('21e41c7100200007', 'hex'),
      contextListData(fields.cookie, []),
      contextListData(0, []),
      contextListData(fields.payload.length, []),
      fields.payload,
    ]);
    for (const byte of bytes) client.send(Buffer.from([byte]));
    assert.equal((await client.reply()).error, 0);
    assert.deepEqual(client.lastStatus[0]?.extents, [[5000n, 9n]]);
  });

  const wrong: Readonly<Record<string, (ids: readonly number[]) => Buffer>> = {
    'no id': () => contextListData(512, []),
    'an unknown id': () => contextListData(512, [0x7fffffff]),
    'an unknown id beside a known one': ([id = 0]) => contextListData(512, [id, 0x7fffffff]),
    'an id twice': ([id = 0]) => contextListData(512, [id, id]),
    'more ids than there are': ([first = 0, second = 0]) =>
      contextListData(512, [first, second, first]),
    'half an id': ([id = 0]) => contextListData(512, [id, 1]).subarray(0, 14),
    'half a length': () => Buffer.alloc(4),
    'a length of 0': (ids) => contextListData(0, ids),
    'a length past the end': (ids) => contextListData(tebibyte + 1, ids),
    'a length of 64 bits': (ids) => contextListData(2n ** 64n - 1n, ids),
    'a mebibyte of ids': ([id = 0]) => contextListData(512, new Array<number>(2 ** 18).fill(id)),
  };
  for (const [what, payload] of Object.entries(wrong)) {
    test(`with ${what} is EINVAL, and the connection stays usable`, async (t) => {
      const client = await open(t, disk(), 'extended', names);
      const fields = { ...withList(0, 0, []), payload: payload(client.contextIds) };
      assert.equal((await client.call(fields)).error, err.EINVAL);
      assert.deepEqual(client.lastStatus, []);
      assert.equal((await client.call(withList(0, 512, client.contextIds))).error, 0);
    });
  }

  test('without a payload is EINVAL', async (t) => {
    const client = await open(t, disk(), 'extended', names);
    const { error } = await client.call({ ...withList(0, 0, []), payload: Buffer.alloc(0) });
    assert.equal(error, err.EINVAL);
    assert.equal((await client.call(withList(0, 512, client.contextIds))).error, 0);
  });

  test('without contexts is EINVAL, and its payload is consumed', async (t) => {
    const client = await open(t, disk(), 'extended', []);
    assert.equal((await client.call(withList(0, 512, [1]))).error, err.EINVAL);
    assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
  });

  test('is not available with structured headers', async (t) => {
    const client = await open(t, disk(), 'structured', names);
    const request = { type: cmd.blockStatus, flags: cmdFlag.payloadLen, length: 512 };
    assert.equal((await client.call(request)).error, err.EINVAL);
    assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
  });
});
