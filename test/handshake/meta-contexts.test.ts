/** NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT, and when what they select holds. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { createServer, type Backend, type MetaContext, type NbdError } from '../../lib/index.js';
import { goData, type ByteClient, type Headers } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, err, info, opt, rep, transmission, u32 } from '../support/numbers.js';
import { startServer } from '../support/server.js';
import { contextData } from '../support/status.js';

function context(name: string, wide?: boolean): MetaContext {
  const status = () => [{ length: 1, flags: 7 }];
  return { name, status, ...(wide === true && { wide }) };
}

const own = [
  context('x-one:first'),
  context('x-one:second'),
  context('x-two:third'),
  context('x-two:wide', true),
];
const exports = {
  '': withContexts([]),
  many: withContexts(own),
  crowd: withContexts(Array.from({ length: 40 }, (_, index) => context(`x-c:${index}`))),
};

function withContexts(contexts: readonly MetaContext[]): Backend {
  return Object.assign(new BufferDisk(pattern(5000)), { contexts });
}

async function haggling(t: TestContext, headers: Headers = 'structured'): Promise<ByteClient> {
  const client = await (await startServer(t, { exports })).connect();
  await client.greet();
  client.headers = headers;
  if (headers === 'structured') await client.option(opt.structuredReply);
  if (headers === 'extended') await client.option(opt.extendedHeaders);
  return client;
}

interface Told {
  readonly final: number;
  /** Ids by their names. */
  readonly contexts: Readonly<Record<string, number>>;
}

async function ask(client: ByteClient, option: number, data: Uint8Array): Promise<Told> {
  const replies = await client.option(option, data);
  const final = replies.pop()?.type ?? 0;
  const contexts: Record<string, number> = {};
  for (const reply of replies) {
    assert.equal(reply.type, rep.metaContext);
    const name = reply.data.toString('utf8', 4);
    assert.ok(!(name in contexts), `${name} comes twice`);
    contexts[name] = reply.data.readUInt32BE(0);
  }
  return { final, contexts };
}

const list = (client: ByteClient, name: string, ...queries: string[]): Promise<Told> =>
  ask(client, opt.listMetaContext, contextData(name, queries));
const set = (client: ByteClient, name: string, ...queries: string[]): Promise<Told> =>
  ask(client, opt.setMetaContext, contextData(name, queries));

const names = ({ contexts }: Told): string[] => Object.keys(contexts).sort();
const narrow = ['base:allocation', 'x-one:first', 'x-one:second', 'x-two:third'];

describe('NBD_OPT_LIST_META_CONTEXT', () => {
  const cases: readonly [string, string, readonly string[], readonly string[]][] = [
    ['lists everything without a query', 'many', [], narrow],
    ['has base:allocation of every export', '', [], ['base:allocation']],
    ['takes a namespace as a wildcard', 'many', ['x-one:'], ['x-one:first', 'x-one:second']],
    ['accepts base: as a wildcard', 'many', ['base:'], ['base:allocation']],
    ['lists what is named', 'many', ['x-two:third'], ['x-two:third']],
    ['lists nothing twice', 'many', ['x-two:third', 'x-two:', 'x-two:third'], ['x-two:third']],
    ['ignores leaves that are not there', 'many', ['base:more', 'x-one:'], narrow.slice(1, 3)],
    ['ignores unknown namespaces', 'many', ['qemu:allocation-depth', 'x-o:', 'X-ONE:first'], []],
  ];
  for (const [title, exportName, queries, expected] of cases) {
    test(title, async (t) => {
      const client = await haggling(t);
      const told = await list(client, exportName, ...queries);
      assert.equal(told.final, rep.ack);
      assert.deepEqual(names(told), expected);
      assert.ok(
        Object.values(told.contexts).every((id) => id === 0),
        'ids SHOULD be zero',
      );
    });
  }

  test('lists wide contexts with extended headers', async (t) => {
    const client = await haggling(t, 'extended');
    assert.deepEqual(names(await list(client, 'many')), [...narrow, 'x-two:wide']);
    assert.deepEqual(names(await list(client, 'many', 'x-two:wide')), ['x-two:wide']);
  });

  test('selects nothing', async (t) => {
    const client = await haggling(t);
    await list(client, '', 'base:allocation');
    assert.equal(await statusError(client, ''), err.EINVAL);
  });
});

describe('NBD_OPT_SET_META_CONTEXT', () => {
  test('selects contexts that are named in full, each with its own id', async (t) => {
    const client = await haggling(t);
    const told = await set(client, 'many', 'x-one:second', 'base:allocation', 'x-one:second');
    assert.equal(told.final, rep.ack);
    assert.deepEqual(names(told), ['base:allocation', 'x-one:second']);
    assert.equal(new Set(Object.values(told.contexts)).size, 2);
  });

  for (const queries of [[], ['base:'], ['x-one:'], ['base:more', 'x-none:first']]) {
    test(`selects nothing for [${queries.join(', ')}]`, async (t) => {
      const client = await haggling(t);
      const told = await set(client, 'many', ...queries);
      assert.deepEqual([told.final, names(told)], [rep.ack, []]);
      assert.equal(await statusError(client, 'many'), err.EINVAL);
    });
  }

  test('selects a wide context with extended headers only', async (t) => {
    assert.deepEqual(names(await set(await haggling(t, 'extended'), 'many', 'x-two:wide')), [
      'x-two:wide',
    ]);
  });

  test('limits the number of contexts', async (t) => {
    const client = await haggling(t);
    const queries = Array.from({ length: 17 }, (_, index) => `x-c:${index}`);
    assert.deepEqual(await set(client, 'crowd', ...queries), {
      final: rep.errTooBig,
      contexts: {},
    });
    const fewer = await set(client, 'crowd', ...queries.slice(1));
    assert.equal(names(fewer).length, 16);
  });
});

for (const [name, option] of [
  ['NBD_OPT_LIST_META_CONTEXT', opt.listMetaContext],
  ['NBD_OPT_SET_META_CONTEXT', opt.setMetaContext],
] as const) {
  describe(`${name} refuses`, () => {
    const good = contextData('', ['base:allocation']);
    const malformed: Readonly<Record<string, Buffer>> = {
      'no data': Buffer.alloc(0),
      'a name that ends behind the data': Buffer.concat([u32(5), Buffer.from('name')]),
      'data without a count': good.subarray(0, 4),
      'fewer queries than it counts': contextData('', ['base:allocation'], 2),
      'more data than its queries': contextData('', ['base:allocation'], 0),
      'a query that ends behind the data': good.subarray(0, good.length - 1),
      'a count of 2^32 - 1': contextData('', [], 0xffffffff),
      'a query without a colon': contextData('', ['base']),
      'a query without a namespace': contextData('', [':allocation']),
      'an empty query': contextData('', ['']),
      'a query with NUL': contextData('', ['base:allocation\0']),
      'a query that is not UTF-8': contextData('', [Buffer.from([0x62, 0x3a, 0xff])]),
      'a query that is too long': contextData('', [`x-one:${'a'.repeat(4091)}`]),
      'a name with NUL': contextData('\0', []),
    };
    for (const [what, data] of Object.entries(malformed)) {
      test(what, async (t) => {
        const client = await haggling(t);
        const [reply, ...others] = await client.option(option, data);
        assert.equal(reply?.type, rep.errInvalid);
        assert.ok(reply.data.length > 20, 'it says why');
        assert.deepEqual(others, []);
        assert.equal((await list(client, '')).final, rep.ack, 'the connection goes on');
      });
    }

    test('and says whether a query or the name of the export is malformed', async (t) => {
      const client = await haggling(t);
      for (const [what, words] of [
        ['a query with NUL', 'The query contains NUL.'],
        ['a query that is not UTF-8', 'The query is not UTF-8.'],
        ['a query that is too long', 'The query is longer than 4096 bytes.'],
        ['a name with NUL', 'The name contains NUL.'],
      ] as const) {
        const [reply] = await client.option(option, malformed[what] ?? Buffer.alloc(0));
        assert.equal(reply?.data.toString(), `${name}: ${words}`);
      }
    });

    test('an unknown export', async (t) => {
      const client = await haggling(t);
      const told = await ask(client, option, contextData('none', ['base:allocation']));
      assert.deepEqual(told, { final: rep.errUnknown, contexts: {} });
    });

    test('clients without structured replies', async (t) => {
      const told = await ask(await haggling(t, 'simple'), option, good);
      assert.deepEqual(told, { final: rep.errInvalid, contexts: {} });
    });

    test('a wide context named without extended headers', async (t) => {
      const client = await haggling(t);
      const told = await ask(
        client,
        option,
        contextData('many', ['base:allocation', 'x-two:wide']),
      );
      assert.deepEqual(told, { final: rep.errExtHeaderReqd, contexts: {} });
    });

    test('too many queries', async (t) => {
      const client = await haggling(t);
      const queries = Array.from({ length: 1025 }, () => 'base:allocation');
      assert.equal((await ask(client, option, contextData('', queries))).final, rep.errTooBig);
      queries.pop();
      assert.deepEqual(names(await ask(client, option, contextData('', queries))), [
        'base:allocation',
      ]);
    });
  });
}

/** Enter the transmission phase; what a BLOCK_STATUS then answers. */
async function statusError(client: ByteClient, name: string): Promise<number> {
  const replies = await client.option(opt.go, goData(name));
  assert.equal(replies.at(-1)?.type, rep.ack);
  return (await client.call({ type: cmd.blockStatus, length: 100 })).error;
}

describe('the selection', () => {
  const forgets: Readonly<Record<string, (client: ByteClient) => Promise<unknown>>> = {
    'a selection for another export': (client) => set(client, 'many', 'base:allocation'),
    'a selection of nothing': (client) => set(client, ''),
    'a selection that failed': (client) => set(client, 'none', 'base:allocation'),
    'a selection that was malformed': (client) => client.option(opt.setMetaContext),
    'a selection that was too long': (client) =>
      client.option(opt.setMetaContext, Buffer.alloc(70_000)),
  };
  for (const [what, act] of Object.entries(forgets)) {
    test(`is dropped after ${what}`, async (t) => {
      const client = await haggling(t);
      await set(client, '', 'base:allocation');
      await act(client);
      assert.equal(await statusError(client, ''), err.EINVAL);
    });
  }

  const keeps: Readonly<Record<string, (client: ByteClient) => Promise<unknown>>> = {
    'nothing else': () => Promise.resolve(),
    'other options': async (client) => {
      await list(client, 'many');
      await client.option(opt.list);
      await client.option(opt.info, goData('many'));
    },
    'an NBD_OPT_GO that failed': (client) => client.option(opt.go, goData('none')),
    'extended headers': async (client) => {
      await client.option(opt.extendedHeaders);
      client.headers = 'extended';
    },
  };
  for (const [what, act] of Object.entries(keeps)) {
    test(`is kept after ${what}`, async (t) => {
      const client = await haggling(t);
      const { contexts } = await set(client, '', 'base:allocation');
      await act(client);
      assert.equal(await statusError(client, ''), 0);
      assert.deepEqual(
        client.lastStatus.map(({ id }) => id),
        Object.values(contexts),
      );
    });
  }

  test('is valid only for the export of the same name', async (t) => {
    const client = await haggling(t);
    await set(client, '', 'base:allocation');
    assert.equal(await statusError(client, 'many'), err.EINVAL);
  });

  test('is also valid after NBD_OPT_EXPORT_NAME', async (t) => {
    const client = await haggling(t);
    await set(client, 'many', 'base:allocation');
    client.send(Buffer.concat([Buffer.from('IHAVEOPT'), u32(1), u32(4), Buffer.from('many')]));
    await client.take(10);
    assert.equal((await client.call({ type: cmd.blockStatus, length: 100 })).error, 0);
  });

  test('fails every query if the export no longer has the context', async (t) => {
    const contexts = [context('x-one:first')];
    const server = await startServer(t, { exports: { '': withContexts(contexts) } });
    const client = await server.connect();
    await client.greet();
    client.headers = 'structured';
    await client.option(opt.structuredReply);
    await set(client, '', 'x-one:first');
    contexts.pop();
    assert.equal(await statusError(client, ''), err.EIO);
    assert.equal((await client.call({ type: cmd.read, length: 100 })).error, 0);
  });

  test('is replaced by the next selection', async (t) => {
    const client = await haggling(t);
    await set(client, 'many', 'base:allocation', 'x-one:first');
    const { contexts } = await set(client, 'many', 'x-two:third');
    assert.equal(await statusError(client, 'many'), 0);
    assert.deepEqual(
      client.lastStatus.map(({ id }) => id),
      [contexts['x-two:third']],
    );
  });
});

describe('NBD_FLAG_BLOCK_STATUS_PAYLOAD', () => {
  for (const headers of ['structured', 'extended'] as const) {
    for (const [queries, exportName] of [
      [['base:allocation'], ''],
      [['base:allocation'], 'many'],
      [[], ''],
    ] as const) {
      const offered = headers === 'extended' && queries.length > 0 && exportName === '';
      const what = `${queries.length} contexts of '' for '${exportName}', ${headers} headers`;
      test(`is ${offered ? '' : 'not '}offered with ${what}`, async (t) => {
        const client = await haggling(t, headers);
        await set(client, '', ...queries);
        for (const option of [opt.info, opt.go]) {
          const replies = await client.option(option, goData(exportName));
          const bytes = replies.find(({ data }) => data.readUInt16BE(0) === info.export)?.data;
          const flag = (bytes?.readUInt16BE(10) ?? 0) & transmission.blockStatusPayload;
          assert.equal(flag !== 0, offered);
        }
      });
    }
  }
});

describe('the contexts of a backend', () => {
  const status = () => [];
  for (const name of [
    'base:mine',
    'nbd-server:mine',
    'nocolon',
    ':leaf',
    'x-ns:',
    'x ns:leaf',
    'x-\u0007:leaf',
    'x-\u00a0:leaf',
    `x-ns:${'a'.repeat(4092)}`,
    'x-ns:\0',
  ]) {
    test(`cannot be ${JSON.stringify(name.slice(0, 20))}`, () => {
      const backend = withContexts([{ name, status }]);
      assert.throws(
        () => createServer({ exports: { '': backend } }),
        ({ code }: NbdError) => code === 'NBDCORK_BAD_CONTEXT' || code === 'NBDCORK_BAD_STRING',
      );
    });
  }

  test('cannot have the same name', () => {
    const backend = withContexts([context('x-a:b'), context('x-a:b')]);
    assert.throws(() => createServer({ exports: { '': backend } }), {
      code: 'NBDCORK_BAD_CONTEXT',
    });
  });

  test('may have colons and spaces in the leaf, and letters of any language', async (t) => {
    const name = 'x-größe:a b:c';
    const server = await startServer(t, { exports: { '': withContexts([context(name)]) } });
    const client = await server.connect();
    await client.open('structured', '', [name]);
    assert.equal((await client.call({ type: cmd.blockStatus, length: 1 })).error, 0);
  });
});
