/** Exports that are found, made or opened when a client asks for them. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, test } from 'node:test';
import {
  createServer,
  type Backend,
  type Client,
  type ExportFinder,
  type ExportDescription,
} from '../../../lib/index.js';
import { goData, optionBytes, type ByteClient } from '../../support/byte-client.js';
import { BufferDisk, pattern, DiskFactory } from '../../support/disks.js';
import { cmd, info, opt, rep } from '../../support/numbers.js';
import { startServer, until } from '../../support/server.js';
import { Log } from '../../support/log.js';

const content = pattern(8192);
const disk: Backend = new BufferDisk(content);
const errUnknown = 0x80000006;
const read = { type: cmd.read, length: 512 };

async function go(client: ByteClient, name: string, option: number = opt.go): Promise<number> {
  return (await client.option(option, goData(name))).at(-1)?.type ?? 0;
}

describe('a backend that is given as a function', () => {
  test('is opened with the first client and closed with the server', async (t) => {
    const shelf = new DiskFactory(content);
    const late = (): Promise<Backend> => Promise.resolve(shelf.open());
    const { server, open } = await startServer(t, { exports: { '': { backend: late } } });
    assert.equal(shelf.disks.length, 0);
    const clients = await Promise.all([open(), open(), open()]);
    for (const client of clients) {
      assert.ok((await client.call(read)).data.equals(content.subarray(0, 512)));
      client.stream.destroy();
    }
    await until(() => server.connectionCount === 0);
    assert.equal(shelf.disks.length, 1);
    assert.equal(shelf.closed, 0);
    await server.close();
    assert.deepEqual(shelf.disks[0]?.calls.slice(-2), ['flush', 'close']);
  });

  test('is not opened without a client', async () => {
    const shelf = new DiskFactory(content);
    await createServer({ exports: { '': { backend: shelf.open } } }).close();
    assert.equal(shelf.disks.length, 0);
  });

  test('that cannot be opened refuses its client, and is opened again for the next', async (t) => {
    const shelf = new DiskFactory(content);
    let attempts = 0;
    const flaky = (): Backend => {
      if (attempts++ === 0) throw new Error('The cable is out.');
      return shelf.open();
    };
    const { connect } = await startServer(t, { exports: { '': { backend: flaky } } });
    const client = await connect();
    await client.greet();
    const [refusal] = await client.option(opt.go, goData(''));
    assert.equal(refusal?.type, errUnknown);
    assert.match(refusal.data.toString(), /is unavailable/);
    assert.equal(await go(client, ''), rep.ack);
    assert.equal((await client.call(read)).error, 0);
  });

  test('is checked like others', async (t) => {
    const wrong: Backend = { size: 1.5, read: () => content };
    const { connect } = await startServer(t, { exports: { '': { backend: () => wrong } } });
    const client = await connect();
    await client.greet();
    assert.equal(await go(client, ''), errUnknown);
  });

  for (const [backend, words] of [
    [undefined, /invalid backend undefined; use a backend/],
    [null, /invalid backend null; use a backend/],
    [{ size: 512 }, /without read\(\); use a backend/],
  ] as const) {
    test(`is refused with a reason when it is ${JSON.stringify(backend)}`, async (t) => {
      const logger = new Log();
      const given = { backend: disk };
      Object.assign(given, { backend: () => backend });
      const { connect } = await startServer(t, { exports: { '': given }, logger });
      const client = await connect();
      await client.greet();
      assert.equal(await go(client, ''), errUnknown);
      assert.match(logger.shown.map(({ message }) => message).join('\n'), words);
    });
  }

  for (const [what, entry] of Object.entries({
    'for all clients': {},
    'for each connection': { perConnection: true },
    'by a finder': undefined,
  })) {
    test(`that is invalid and opened ${what} is closed before the client gets a reply`, async (t) => {
      const wrong = Object.assign(new BufferDisk(content), { size: 1.5 });
      const exports =
        entry === undefined
          ? { find: () => wrong }
          : { '': { backend: () => Promise.resolve(wrong), ...entry } };
      const { connect, server } = await startServer(t, { exports });
      const client = await connect();
      await client.greet();
      assert.equal(await go(client, ''), errUnknown);
      assert.deepEqual(wrong.calls, ['flush', 'close']);
      await server.close();
      assert.deepEqual(wrong.calls, ['flush', 'close']);
    });
  }
});

describe('a backend for each connection', () => {
  const perConnection = (shelf: DiskFactory) => ({
    exports: { '': { backend: shelf.open, perConnection: true } },
  });

  test('is closed with it', async (t) => {
    const shelf = new DiskFactory(content);
    const { open } = await startServer(t, perConnection(shelf));
    const [one, other] = [await open(), await open()];
    assert.equal(shelf.disks.length, 2);
    const payload = Buffer.alloc(512, 'x');
    assert.equal((await one.call({ type: cmd.write, payload })).error, 0);
    assert.ok((await other.call(read)).data.equals(content.subarray(0, 512)));
    one.stream.destroy();
    await until(() => shelf.closed === 1);
    assert.deepEqual(shelf.disks[0]?.calls.slice(-2), ['flush', 'close']);
    assert.equal((await other.call(read)).error, 0);
  });

  test('is opened once for NBD_OPT_INFO and NBD_OPT_GO, and closed without GO', async (t) => {
    const shelf = new DiskFactory(content);
    const { connect } = await startServer(t, perConnection(shelf));
    const client = await connect();
    await client.greet();
    assert.equal(await go(client, '', opt.info), rep.ack);
    assert.equal(await go(client, ''), rep.ack);
    assert.equal((await client.call(read)).error, 0);
    assert.equal(shelf.disks.length, 1);
    const asking = await connect();
    await asking.greet();
    assert.equal(await go(asking, '', opt.info), rep.ack);
    asking.stream.destroy();
    await until(() => shelf.closed === 1);
  });

  test('is not opened for an option of a client that has disconnected', async (t) => {
    const shelf = new DiskFactory(content);
    let arrive: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => (arrive = resolve));
    let opened = 0;
    const backend = async (): Promise<Backend> => {
      opened++;
      await opening;
      return shelf.open();
    };
    const entry = { backend, perConnection: true };
    const { connect, server } = await startServer(t, { exports: { a: entry, b: entry } });
    const client = await connect();
    await client.greet();
    client.send(...['a', 'b'].map((name) => optionBytes(opt.info, goData(name))));
    await until(() => opened === 1);
    client.stream.destroy();
    await until(() => server.connectionCount === 0);
    arrive();
    await server.close();
    assert.equal(shelf.closed, 1);
    assert.equal(opened, 1);
  });

  test('is given back for that of another export', async (t) => {
    const shelf = new DiskFactory(content);
    const entry = { backend: shelf.open, perConnection: true };
    const { connect } = await startServer(t, { exports: { a: entry, b: entry } });
    const client = await connect();
    await client.greet();
    for (const name of ['a', 'b', 'a', 'b']) await go(client, name, opt.info);
    assert.equal(shelf.disks.length, 4);
    assert.equal(shelf.closed, 3);
  });

  test('is closed after its last request, though the client is gone', async (t) => {
    let finish: () => void = () => undefined;
    const calls: string[] = [];
    const slow: Backend = {
      size: 4096,
      read: (_, length) =>
        new Promise((resolve) => {
          calls.push('read');
          finish = () => {
            calls.push('answered');
            resolve(new Uint8Array(length));
          };
        }),
      close: () => void calls.push('close'),
    };
    const exports = { '': { backend: () => slow, perConnection: true } };
    const { server, open } = await startServer(t, { exports }, 'TCP');
    const client = await open();
    client.request(read);
    await until(() => calls.length === 1);
    assert.ok(client.stream instanceof Socket);
    client.stream.resetAndDestroy();
    await until(() => server.connectionCount === 0);
    assert.deepEqual(calls, ['read']);
    finish();
    await until(() => calls.includes('close'));
    assert.deepEqual(calls, ['read', 'answered', 'close']);
  });

  test('needs a function', () => {
    const exports = { '': { backend: new BufferDisk(content), perConnection: true } };
    assert.throws(() => createServer({ exports }), { code: 'NBDCORK_BAD_EXPORT' });
  });
});

describe('exports that are found', () => {
  test('are those of the client that asks', async (t) => {
    const asked: [string, Client][] = [];
    const shelf = new DiskFactory(content);
    const exports: ExportFinder = {
      find: async (name, client) => {
        asked.push([name, client]);
        return Promise.resolve(
          /^vm-\d+$/.test(name) ? { backend: shelf.open, description: `of ${name}` } : undefined,
        );
      },
      list: () => [{ name: 'vm-1', description: 'the first' }],
    };
    const { connect, server } = await startServer(t, { exports }, 'TCP');
    const client = await connect();
    await client.greet();
    const [listed] = await client.option(opt.list);
    assert.equal(listed?.data.toString('utf8', 4), 'vm-1the first');
    assert.equal(await go(client, 'nothing'), errUnknown);
    const replies = await client.option(opt.go, goData('vm-7', [info.description]));
    assert.ok(replies.some(({ data }) => data.toString('utf8', 2) === 'of vm-7'));
    assert.equal((await client.call(read)).error, 0);
    const again = await connect();
    await again.open('simple', 'vm-7');
    assert.equal(shelf.disks.length, 1, 'its backend is kept');
    assert.deepEqual(
      asked.map(([name]) => name),
      ['nothing', 'vm-7', 'vm-7'],
    );
    assert.equal(asked[0]?.[1].address, '127.0.0.1');
    await server.close();
    assert.equal(shelf.closed, 1);
  });

  test('keep the first backend of a name, and close those that are made in vain', async (t) => {
    const shelf = new DiskFactory(content);
    const limits = { openExportsMax: 1 };
    const { connect, server } = await startServer(t, {
      exports: { find: () => shelf.open() },
      limits,
    });
    const asking = await connect();
    await asking.greet();
    assert.equal(await go(asking, 'a', opt.info), rep.ack);
    assert.equal(await go(asking, 'a', opt.info), rep.ack);
    assert.equal(await go(asking, 'b', opt.info), errUnknown, 'there is no room for a second');
    assert.equal(await go(asking, 'a'), rep.ack);
    assert.equal((await asking.call(read)).error, 0);
    const calls = (): boolean[] => shelf.disks.map((disk) => disk.calls.includes('close'));
    assert.deepEqual(calls(), [false, true, true, true]);
    assert.ok(shelf.disks[0]?.calls.some((call) => call.startsWith('read')));
    await server.close();
    assert.deepEqual(calls(), [true, true, true, true]);
  });

  test('may be one disk under any number of names', async (t) => {
    const disk = new BufferDisk(content);
    const limits = { openExportsMax: 1 };
    const { open, server } = await startServer(t, { exports: { find: () => disk }, limits });
    for (const name of ['a', 'b', 'a']) {
      assert.equal((await (await open('simple', name)).call(read)).error, 0);
    }
    await server.close();
    assert.equal(disk.calls.filter((call) => call === 'close').length, 1);
  });

  test('refuse only the client for which finding fails, or finds nonsense', async (t) => {
    const exports: ExportFinder = {
      find: (name) => {
        if (name === 'throws') throw new Error('no');
        if (name === 'long')
          return { backend: new BufferDisk(content), description: 'x'.repeat(5000) };
        if (name === 'size') return { size: -1, read: () => content };
        return new BufferDisk(content);
      },
    };
    const { connect } = await startServer(t, { exports });
    const client = await connect();
    await client.greet();
    for (const name of ['throws', 'long', 'size']) assert.equal(await go(client, name), errUnknown);
    assert.deepEqual(
      (await client.option(opt.list)).map(({ type }) => type),
      [rep.ack],
    );
    assert.equal(await go(client, 'good'), rep.ack);
  });

  test('are listed without those that the protocol cannot tell, which the log has', async (t) => {
    const logger = new Log();
    const nameless = { name: '' };
    Reflect.deleteProperty(nameless, 'name');
    const listings: readonly ExportDescription[] = [
      { name: 'a\0b' },
      { name: 'first', description: 'good' },
      { name: 'x'.repeat(5000) },
      nameless,
      { name: 'told', description: 'bad\0' },
      { name: 'second' },
    ];
    const exports: ExportFinder = { find: () => undefined, list: () => listings };
    const { connect } = await startServer(t, { exports, logger });
    const client = await connect();
    await client.greet();
    const replies = await client.option(opt.list);
    assert.deepEqual(
      replies.map(({ data }) => data.toString('utf8', 4)),
      ['firstgood', 'second', ''],
    );
    assert.equal(replies.at(-1)?.type, rep.ack);
    assert.equal(logger.shown.length, 4);
    for (const { level, message } of logger.shown) {
      assert.equal(level, 'error');
      assert.match(message, /^cannot list an export: .*(name|description)/);
    }
  });

  test('have the name by which they were found, whatever else they are called', async (t) => {
    const exports: ExportFinder = {
      find: () => {
        const found = { backend: new BufferDisk(content), name: 'other\0' };
        return found;
      },
    };
    const { connect } = await startServer(t, { exports });
    const client = await connect();
    await client.greet();
    const replies = await client.option(opt.info, goData('asked', [info.name]));
    assert.ok(replies.some(({ data }) => data.toString('latin1') === '\0\x01asked'));
  });

  test('are no more than openExportsMax at a time', async (t) => {
    const shelf = new DiskFactory(content);
    const exports: ExportFinder = { find: () => ({ backend: shelf.open }) };
    const { connect } = await startServer(t, { exports, limits: { openExportsMax: 3 } });
    const client = await connect();
    await client.greet();
    for (const name of ['a', 'b', 'c', 'a'])
      assert.equal(await go(client, name, opt.info), rep.ack);
    assert.equal(await go(client, 'd', opt.info), errUnknown);
    assert.equal(shelf.disks.length, 3);
  });
});

describe('defaultExport', () => {
  test('is used for the empty name', async (t) => {
    const exports = { a: new BufferDisk(pattern(512)), b: new BufferDisk(content) };
    const { connect } = await startServer(t, { exports, defaultExport: 'b' });
    const client = await connect();
    await client.greet();
    const replies = await client.option(opt.go, goData('', [info.name]));
    assert.ok(replies.some(({ data }) => data.equals(Buffer.from('\0\x01b', 'latin1'))));
    assert.ok(
      (await client.call({ ...read, offset: 4096 })).data.equals(content.subarray(4096, 4608)),
    );
  });

  test('must be there', () => {
    const options = { exports: { a: new BufferDisk(content) }, defaultExport: 'b' };
    assert.throws(() => createServer(options), { code: 'NBDCORK_BAD_EXPORT' });
  });
});
