/** NBD_OPT_INFO and NBD_OPT_GO. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, ServerOptions } from '../../lib/index.js';
import { goData, type OptionReply } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, info, opt, rep, transmission, u16, u32, u64 } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const readsOnly: Backend = { size: 4096, read: (_offset, length) => new Uint8Array(length) };
const longest = 'ü'.repeat(2048);

const options: ServerOptions = {
  exports: {
    '': new BufferDisk(pattern(5000)),
    described: { backend: new BufferDisk(pattern(100)), description: 'ein Datenträger' },
    reads: readsOnly,
    largest: { ...readsOnly, size: Number.MAX_SAFE_INTEGER },
    empty: { ...readsOnly, size: 0 },
    [longest]: readsOnly,
  },
};

/** The payloads of NBD_REP_INFO by their type, each of which comes once. */
function infos(replies: readonly OptionReply[]): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (const { type, data } of replies) {
    if (type !== rep.info) continue;
    assert.ok(!found.has(data.readUInt16BE(0)));
    found.set(data.readUInt16BE(0), data.subarray(2));
  }
  return found;
}

for (const [name, option] of [
  ['NBD_OPT_INFO', opt.info],
  ['NBD_OPT_GO', opt.go],
] as const) {
  describe(name, () => {
    test('sends the size and the transmission flags, then acknowledges', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const replies = await client.option(option, goData('reads'));
      assert.deepEqual(replies.at(-1), { type: rep.ack, data: Buffer.alloc(0) });
      const flags = transmission.hasFlags | transmission.readOnly;
      assert.deepEqual(infos(replies).get(info.export), Buffer.concat([u64(4096), u16(flags)]));
    });

    test('sends sizes up to 2^53 - 1 exactly', async (t) => {
      for (const [exportName, size] of [
        ['largest', 2n ** 53n - 1n],
        ['empty', 0n],
      ] as const) {
        const client = await (await startServer(t, options)).connect();
        await client.greet();
        const replies = await client.option(option, goData(exportName));
        assert.equal(infos(replies).get(info.export)?.readBigUInt64BE(0), size);
      }
    });

    test('sends the name and the description when requested', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const wanted = [info.description, info.name];
      const found = infos(await client.option(option, goData('described', wanted)));
      assert.equal(found.get(info.name)?.toString(), 'described');
      assert.equal(found.get(info.description)?.toString(), 'ein Datenträger');
    });

    test('sends neither when not requested', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const found = infos(await client.option(option, goData('described', [info.blockSize])));
      assert.deepEqual([...found.keys()].sort(), [info.export, info.blockSize]);
    });

    test('sends no description if the export has none', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const wanted = [info.name, info.description];
      const found = infos(await client.option(option, goData('', wanted)));
      assert.equal(found.get(info.name)?.length, 0);
      assert.equal(found.has(info.description), false);
    });

    test('sends the default block size', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const found = infos(await client.option(option, goData('', [info.blockSize])));
      assert.deepEqual(
        found.get(info.blockSize),
        Buffer.concat([u32(1), u32(4096), u32(64 * 2 ** 20)]),
      );
    });

    test('ignores requests for unknown information', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const replies = await client.option(option, goData('', [99, 0xffff, info.name]));
      assert.equal(replies.at(-1)?.type, rep.ack);
      assert.equal(infos(replies).get(info.name)?.length, 0);
    });

    test('accepts names of 4096 bytes', async (t) => {
      const client = await (await startServer(t, options)).connect();
      await client.greet();
      const replies = await client.option(option, goData(longest, [info.name]));
      assert.equal(replies.at(-1)?.type, rep.ack);
      assert.equal(infos(replies).get(info.name)?.toString(), longest);
    });

    for (const missing of ['nowhere', 'DESCRIBED', 'x'.repeat(4096), '\u{fffff}'.repeat(1024)]) {
      const length = Buffer.byteLength(missing);
      test(`for an unknown name of ${length} bytes is only ERR_UNKNOWN`, async (t) => {
        const client = await (await startServer(t, options)).connect();
        await client.greet();
        const [reply, ...others] = await client.option(option, goData(missing));
        assert.equal(reply?.type, rep.errUnknown);
        assert.ok(reply.data.toString().includes(missing.slice(0, 5)));
        assert.deepEqual(others, []);
        assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
      });
    }

    const malformed: Record<string, Buffer> = {
      'no data': Buffer.alloc(0),
      'half a length': u16(0),
      'no number of requests': u32(0),
      'half a number of requests': Buffer.concat([u32(0), Buffer.alloc(1)]),
      'a name that is longer than the data': Buffer.concat([u32(9), Buffer.alloc(8)]),
      'a name of 2^32 - 1 bytes': Buffer.concat([u32(0xffffffff), Buffer.alloc(8)]),
      'a name that leaves no room for the number': Buffer.concat([u32(4), Buffer.from('reads')]),
      'fewer requests than announced': Buffer.concat([u32(0), u16(2), u16(3)]),
      'half a request': Buffer.concat([u32(0), u16(1), Buffer.alloc(1)]),
      'more requests than announced': Buffer.concat([u32(0), u16(1), u16(3), u16(1)]),
      'a byte too many': Buffer.concat([goData(''), Buffer.alloc(1)]),
      'a name that is not UTF-8': goData(Buffer.of(0x61, 0xff, 0x62)),
      'a name with an overlong sequence': goData(Buffer.of(0xc0, 0xaf)),
      'a name with half a surrogate pair': goData(Buffer.of(0xed, 0xa0, 0x80)),
      'a name with NUL': goData('a\0b'),
      'a name of 4097 bytes': goData('x'.repeat(4097)),
    };
    for (const [what, data] of Object.entries(malformed)) {
      test(`with ${what} is ERR_INVALID, and option haggling continues`, async (t) => {
        const client = await (await startServer(t, options)).connect();
        await client.greet();
        const replies = await client.option(option, data);
        assert.deepEqual(
          replies.map(({ type }) => type),
          [rep.errInvalid],
        );
        assert.notEqual(replies[0]?.data.length, 0);
        await client.option(opt.go, goData(''));
        assert.equal((await client.call({ type: cmd.flush })).error, 0);
      });
    }
  });
}

describe('NBD_OPT_INFO before NBD_OPT_GO', () => {
  test('does not begin the transmission phase', async (t) => {
    const client = await (await startServer(t, options)).connect();
    await client.greet();
    const told = await client.option(opt.info, goData('', [info.name]));
    assert.deepEqual(await client.option(opt.info, goData('', [info.name])), told);
    assert.deepEqual(await client.option(opt.go, goData('', [info.name])), told);
    const { data } = await client.call({ type: cmd.read, offset: 0, length: 10 });
    assert.deepEqual(data, pattern(5000).subarray(0, 10));
  });

  test('may name another export', async (t) => {
    const client = await (await startServer(t, options)).connect();
    await client.greet();
    await client.option(opt.info, goData('empty'));
    const replies = await client.option(opt.go, goData('described'));
    assert.equal(infos(replies).get(info.export)?.readBigUInt64BE(0), 100n);
  });
});

describe('block sizes', () => {
  const strict = Object.assign(new BufferDisk(pattern(65_536)), {
    blockSize: { minimum: 512, preferred: 8192, maximum: 2 ** 20 },
  });

  for (const option of [opt.info, opt.go]) {
    test(`option ${option} without requesting a minimum above 1 is refused, and the minimum is sent`, async (t) => {
      const client = await (await startServer(t, { exports: { '': strict } })).connect();
      await client.greet();
      const replies = await client.option(option, goData('', [info.name]));
      assert.equal(replies.at(-1)?.type, rep.errBlockSizeReqd);
      assert.deepEqual(
        infos(replies).get(info.blockSize),
        Buffer.concat([u32(512), u32(8192), u32(2 ** 20)]),
      );
      // Haggling goes on.
      const again = await client.option(option, goData('', [info.name, info.blockSize]));
      assert.equal(again.at(-1)?.type, rep.ack);
    });
  }

  test('the maximum is no larger than requestBytesMax', async (t) => {
    const limits = { requestBytesMax: 65_536 };
    const client = await (await startServer(t, { exports: { '': strict }, limits })).connect();
    await client.greet();
    const replies = await client.option(opt.info, goData('', [info.blockSize]));
    assert.equal(infos(replies).get(info.blockSize)?.readUInt32BE(8), 65_536);
  });

  test('the maximum is never smaller than the preferred size', async (t) => {
    const limits = { requestBytesMax: 1024 };
    const client = await (await startServer(t, { exports: { '': strict }, limits })).connect();
    await client.greet();
    const replies = await client.option(opt.go, goData('', [info.blockSize]));
    assert.equal(infos(replies).get(info.blockSize)?.readUInt32BE(8), 8192);
    assert.equal((await client.call({ type: cmd.read, length: 8192 })).error, 0);
  });
});
