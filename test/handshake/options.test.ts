/** The other options, and options that are none. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { ServerOptions } from '../../lib/index.js';
import { duplexPair } from '../transport/support/duplex.js';
import { ByteClient, goData, optionBytes, type OptionReply } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, opt, rep, u32 } from '../support/numbers.js';
import { connectionKinds, startServer, eventLoopTurn, until } from '../support/server.js';

const noData = Buffer.alloc(0);
const acknowledged = [{ type: rep.ack, data: noData }];
const options: ServerOptions = {
  exports: {
    '': new BufferDisk(pattern(5000)),
    'zweite Platte': { backend: new BufferDisk(pattern(100)), description: 'für Überschüsse' },
  },
};

function listed(name: string, description = ''): Buffer {
  const bytes = Buffer.from(name);
  return Buffer.concat([u32(bytes.length), bytes, Buffer.from(description)]);
}

async function haggling(...[t, given]: [Parameters<typeof startServer>[0], ServerOptions?]) {
  const client = await (await startServer(t, given ?? options)).connect();
  await client.greet();
  return client;
}

describe('NBD_OPT_LIST', () => {
  const wholeList = [
    { type: rep.server, data: listed('') },
    { type: rep.server, data: listed('zweite Platte', 'für Überschüsse') },
    ...acknowledged,
  ];

  test('lists every export with its description', async (t) => {
    const client = await haggling(t);
    assert.deepEqual(await client.option(opt.list), wholeList);
  });

  test('works twice, with other options in between', async (t) => {
    const client = await haggling(t);
    assert.deepEqual(await client.option(opt.list), wholeList);
    assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
    assert.deepEqual(await client.option(opt.list), wholeList);
  });

  test('with data is ERR_INVALID', async (t) => {
    const client = await haggling(t);
    const replies = await client.option(opt.list, Buffer.of(0));
    assert.deepEqual(
      replies.map(({ type }) => type),
      [rep.errInvalid],
    );
    assert.deepEqual(await client.option(opt.list), wholeList);
  });
});

for (const kind of connectionKinds) {
  describe(`NBD_OPT_ABORT, on ${kind}`, () => {
    for (const [what, data] of [
      ['is acknowledged', noData],
      ['with data is acknowledged too', Buffer.from('goodbye')],
    ] as const) {
      test(`${what}, and the connection closed`, async (t) => {
        const { server, connect } = await startServer(t, options, kind);
        const client = await connect();
        await client.greet();
        assert.deepEqual(await client.option(opt.abort, data), acknowledged);
        assert.equal((await client.closed).length, 0);
        await until(() => server.connectionCount === 0);
      });
    }

    test('from a client that does not wait for the reply is harmless', async (t) => {
      const { server, connect } = await startServer(t, options, kind);
      const client = await connect();
      await client.greet();
      client.send(optionBytes(opt.abort));
      client.stream.destroy();
      await until(() => server.connectionCount === 0);
    });
  });
}

describe('an unknown option', () => {
  for (const type of [0, 4, 12, 99, 0x7fffffff, 0xffffffff]) {
    for (const length of [0, 1, 65_536]) {
      test(`${type} with ${length} bytes is ERR_UNSUP with a message`, async (t) => {
        const client = await haggling(t);
        const [reply, ...others] = await client.option(type, Buffer.alloc(length, 0x49));
        assert.equal(reply?.type, rep.errUnsup);
        assert.match(reply.data.toString(), new RegExp(`NBD_OPT.*${type}.*unknown option`));
        assert.deepEqual(others, []);
        assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
      });
    }
  }
});

describe('an option that is refused', () => {
  const anyOption = [...Object.values(opt), 0, 4, 99].filter(
    (type) => type !== opt.exportName && type !== opt.abort,
  );
  /** What no option takes but those that are not known, and what some take. */
  const contents = [Buffer.alloc(3, 0xff), goData('nowhere'), Buffer.alloc(70_000), noData];

  async function refusals(t: TestContext): Promise<OptionReply[]> {
    const client = await haggling(t);
    const found: OptionReply[] = [];
    for (const type of anyOption) {
      for (const data of contents) {
        const last = (await client.option(type, data)).at(-1);
        if (last !== undefined && last.type !== rep.ack) found.push(last);
      }
    }
    assert.ok(found.length > 2 * anyOption.length);
    return found;
  }

  test('every error has a message', async (t) => {
    for (const { data } of await refusals(t)) assert.match(data.toString(), /\w{2,} \w{2,}.*\.$/s);
  });

  test('no option gets ERR_PLATFORM', async (t) => {
    const platform = 0x80000004;
    assert.ok((await refusals(t)).every(({ type }) => type !== platform));
  });
});

describe('the length of an option', () => {
  for (const type of [opt.list, opt.go, opt.startTls]) {
    for (const length of [65_537, 2 ** 20]) {
      test(`of ${length} bytes is ERR_TOO_BIG for option ${type}`, async (t) => {
        const client = await haggling(t);
        const [reply, ...others] = await client.option(type, Buffer.alloc(length));
        assert.equal(reply?.type, rep.errTooBig);
        assert.match(reply.data.toString(), /65536/);
        assert.deepEqual(others, []);
        assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
      });
    }
  }

  for (const length of [65_537, 2 ** 20]) {
    test(`of ${length} bytes makes no difference to an unknown option`, async (t) => {
      const client = await haggling(t);
      const [reply, ...others] = await client.option(99, Buffer.alloc(length));
      assert.equal(reply?.type, rep.errUnsup);
      assert.deepEqual(others, []);
      assert.equal((await client.option(opt.list)).at(-1)?.type, rep.ack);
    });

    test(`of ${length} bytes ends the session for EXPORT_NAME, which has no error reply`, async (t) => {
      const client = await haggling(t);
      client.send(optionBytes(opt.exportName, Buffer.alloc(length)), optionBytes(opt.list));
      assert.equal((await client.closed).length, 0);
    });

    test(`of ${length} bytes is ignored for ABORT`, async (t) => {
      const client = await haggling(t);
      const replies = await client.option(opt.abort, Buffer.alloc(length));
      assert.deepEqual(replies, [{ type: rep.ack, data: Buffer.alloc(0) }]);
      assert.equal((await client.closed).length, 0);
    });
  }

  for (const length of [2 ** 20 + 1, 2 ** 32 - 1]) {
    test(`of ${length} bytes closes the connection without waiting for them`, async (t) => {
      const client = await haggling(t);
      client.send(optionBytes(opt.go).subarray(0, 12), u32(length));
      assert.equal((await client.closed).length, 0);
    });
  }

  test('is limited by optionBytesMax', async (t) => {
    const client = await haggling(t, { ...options, limits: { optionBytesMax: 10 } });
    const [tooBig] = await client.option(opt.list, Buffer.alloc(11));
    assert.equal(tooBig?.type, rep.errTooBig);
    const [invalid] = await client.option(opt.list, Buffer.alloc(10));
    assert.equal(invalid?.type, rep.errInvalid);
    assert.equal((await client.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
  });
});

describe('an endless series of options', () => {
  for (const type of [opt.structuredReply, 99]) {
    test(`of type ${type} ends after optionsMax of them`, async (t) => {
      const client = await haggling(t, { ...options, limits: { optionsMax: 5 } });
      client.send(...Array.from({ length: 9 }, () => optionBytes(type)));
      for (let count = 0; count < 5; count++) await client.optionReplies(type);
      assert.equal((await client.closed).length, 0);
    });
  }

  test('ends after 8 more of them for each export that was listed', async (t) => {
    const exports = { a: new BufferDisk(pattern(10)), b: new BufferDisk(pattern(10)) };
    const client = await haggling(t, { exports, limits: { optionsMax: 5 } });
    const optionsMax = 5 + 2 * 8;
    client.send(...Array.from({ length: optionsMax + 1 }, () => optionBytes(opt.list)));
    for (let count = 0; count < optionsMax; count++) await client.optionReplies(opt.list);
    assert.equal((await client.closed).length, 0);
  });

  test('is answered up to optionsMax', async (t) => {
    const client = await haggling(t, { ...options, limits: { optionsMax: 5 } });
    for (let count = 0; count < 4; count++) await client.option(99);
    assert.equal((await client.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
    assert.equal((await client.call({ type: cmd.flush })).error, 0);
  });

  test('from a client that reads nothing is not answered indefinitely', async (t) => {
    const description = 'x'.repeat(4096);
    const backend = new BufferDisk(pattern(100));
    const names = Array.from({ length: 256 }, (_, index) => `disk ${index}`);
    const exports = Object.fromEntries(names.map((name) => [name, { backend, description }]));
    const { server } = await startServer(t, { exports }, 'duplex');
    const [near, far] = duplexPair();
    t.after(() => near.destroy());
    t.after(() => far.destroy());
    void server.serve(far);
    near.write(Buffer.concat([u32(3), ...Array.from({ length: 24 }, () => optionBytes(opt.list))]));
    // One list has a megabyte, and nobody takes any of it.
    await until(() => far.writableNeedDrain);
    for (let count = 0; count < 50; count++) await eventLoopTurn();
    assert.ok(far.writableLength < 4 * 2 ** 20, `${far.writableLength} bytes are queued`);
    const client = new ByteClient(near);
    await client.take(18);
    for (let count = 0; count < 24; count++) {
      assert.equal((await client.optionReplies(opt.list)).length, 257);
    }
  });
});

describe('NBD_OPT_STRUCTURED_REPLY', () => {
  test('is acknowledged, as often as it is sent', async (t) => {
    const client = await haggling(t);
    assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
    assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
  });

  test('with data is ERR_INVALID and changes nothing', async (t) => {
    const client = await haggling(t);
    assert.equal((await client.option(opt.structuredReply, Buffer.of(1)))[0]?.type, rep.errInvalid);
    await client.option(opt.go, goData(''));
    assert.equal((await client.call({ type: cmd.read, length: 8 })).data.length, 8);
  });

  test('works with NBD_OPT_EXPORT_NAME', async (t) => {
    const client = await haggling(t);
    await client.option(opt.structuredReply);
    client.send(optionBytes(opt.exportName));
    await client.take(10);
    client.headers = 'structured';
    const { data } = await client.call({ type: cmd.read, offset: 1, length: 8 });
    assert.deepEqual(data, pattern(5000).subarray(1, 9));
  });
});

describe('NBD_OPT_EXTENDED_HEADERS', () => {
  test('is acknowledged once, after structured replies; a second one is ERR_INVALID', async (t) => {
    const client = await haggling(t);
    assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
    assert.deepEqual(await client.option(opt.extendedHeaders), acknowledged);
    assert.equal((await client.option(opt.extendedHeaders))[0]?.type, rep.errInvalid);
    await client.option(opt.go, goData(''));
    client.headers = 'extended';
    const { data } = await client.call({ type: cmd.read, offset: 1, length: 8 });
    assert.deepEqual(data, pattern(5000).subarray(1, 9));
  });

  test('with data is ERR_INVALID and changes nothing', async (t) => {
    const client = await haggling(t);
    assert.equal((await client.option(opt.extendedHeaders, Buffer.of(1)))[0]?.type, rep.errInvalid);
    await client.option(opt.go, goData(''));
    assert.equal((await client.call({ type: cmd.read, length: 8 })).data.length, 8);
  });

  test('takes precedence: structured replies are refused afterwards', async (t) => {
    const client = await haggling(t);
    assert.deepEqual(await client.option(opt.extendedHeaders), acknowledged);
    const [reply, ...others] = await client.option(opt.structuredReply);
    assert.equal(reply?.type, rep.errExtHeaderReqd);
    assert.deepEqual(others, []);
    await client.option(opt.go, goData(''));
    client.headers = 'extended';
    assert.equal((await client.call({ type: cmd.flush })).error, 0);
  });

  test('excludes NBD_OPT_EXPORT_NAME, which closes the connection', async (t) => {
    const client = await haggling(t);
    await client.option(opt.extendedHeaders);
    client.send(optionBytes(opt.exportName));
    assert.equal((await client.closed).length, 0);
  });
});

describe('names in NBD_OPT_EXPORT_NAME', () => {
  for (const [what, bytes] of [
    ['are not UTF-8', Buffer.of(0xff)],
    ['have NUL', Buffer.from('a\0')],
    ['are longer than 4096 bytes', Buffer.alloc(4097, 0x61)],
  ] as const) {
    test(`that ${what} close the connection`, async (t) => {
      const client = await haggling(t);
      client.send(optionBytes(opt.exportName, bytes));
      assert.equal((await client.closed).length, 0);
    });
  }

  test('may have letters of any script', async (t) => {
    const client = await haggling(t);
    client.send(optionBytes(opt.exportName, Buffer.from('zweite Platte')));
    assert.equal((await client.take(10)).readBigUInt64BE(0), 100n);
  });
});
