/** Backends that a finder opens for clients that may not use them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExportFinder } from '../../../lib/index.js';
import { Backends } from '../../../lib/server/exports/backends.js';
import { goData, type ByteClient } from '../../support/byte-client.js';
import { BufferDisk, pattern, DiskFactory } from '../../support/disks.js';
import { cmd, opt, rep } from '../../support/numbers.js';
import { startServer } from '../../support/server.js';
import { Log } from '../../support/log.js';
import { preSharedKey, startTls } from '../../support/tls.js';

const content = pattern(8192);
const read = { type: cmd.read, length: 512 };
const key = Buffer.alloc(32);
const tls = { preSharedKeys: new Map([['alice', key]]) };
const alice = preSharedKey('alice', key, 'TLSv1.3');

async function go(client: ByteClient, name: string, option: number = opt.go): Promise<number> {
  return (await client.option(option, goData(name))).at(-1)?.type ?? 0;
}

describe('exports that are found', () => {
  test('for clients without TLS are kept for one with TLS, up to a limit', async (t) => {
    const shelf = new DiskFactory(content);
    const limits = { openExportsMax: 2 };
    const exports: ExportFinder = { find: () => ({ backend: shelf.open(), tls: 'require' }) };
    const { connect, server } = await startServer(t, { exports, tls, limits });
    const client = await connect();
    await client.greet();
    for (const name of ['a', 'b', 'a', 'c', 'd', 'b']) {
      assert.equal(await go(client, name, opt.info), rep.errTlsReqd);
    }
    const open = (): boolean[] => shelf.disks.map(({ calls }) => !calls.includes('close'));
    assert.deepEqual(open(), [false, false, false, false, true, true]);
    const secured = await startTls(client, alice);
    assert.equal(await go(secured, 'd'), rep.ack);
    assert.equal((await secured.call(read)).error, 0);
    assert.ok(shelf.disks[4]?.calls.some((call) => call.startsWith('read')));
    assert.deepEqual(open(), [false, false, false, false, true, true, false]);
    await server.close();
    assert.equal(shelf.closed, shelf.disks.length);
  });

  test('may be one disk under any number of names, none of them usable without TLS', async (t) => {
    const own = new BufferDisk(content);
    const limits = { openExportsMax: 2 };
    const exports: ExportFinder = { find: () => ({ backend: own, tls: 'require' }) };
    const { connect, server } = await startServer(t, { exports, tls, limits });
    const client = await connect();
    await client.greet();
    for (const name of ['a', 'b', 'c', 'd']) {
      assert.equal(await go(client, name, opt.info), rep.errTlsReqd);
    }
    const secured = await startTls(client, alice);
    assert.equal(await go(secured, 'a'), rep.ack);
    assert.equal((await secured.call(read)).error, 0);
    assert.ok(!own.calls.includes('close'));
    await server.close();
    assert.equal(own.calls.filter((call) => call === 'close').length, 1);
  });

  test('are closed if their options are invalid', async (t) => {
    const shelf = new DiskFactory(content);
    const exports: ExportFinder = {
      find: () => {
        const found = { backend: shelf.open() };
        Object.assign(found, { description: 7 });
        return found;
      },
    };
    const { connect } = await startServer(t, { exports });
    const client = await connect();
    await client.greet();
    assert.equal(await go(client, 'a', opt.info), rep.errUnknown);
    assert.equal(shelf.closed, 1);
  });
});

test('a backend kept for a client with TLS is closed once, even if requested during shutdown', async () => {
  const backends = new Backends([], 2, new Log());
  const [first, second] = [new BufferDisk(content), new BufferDisk(content)];
  await backends.hold('a', first);
  await backends.close();
  const late = backends.shared('a', { backend: second }, { kind: 'stream' });
  await assert.rejects(late, { code: 'NBDCORK_EXPORT_UNAVAILABLE' });
  for (const { calls } of [first, second]) {
    assert.equal(calls.filter((call) => call === 'close').length, 1);
  }
});
