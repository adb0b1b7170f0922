/** NBD_OPT_STARTTLS, and what clients are told without it: "TLS support". */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import type { SecureVersion } from 'node:tls';
import type { Client, ServerOptions } from '../../lib/index.js';
import { goData, optionBytes, type ByteClient } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, info, opt, rep, transmission, u32 } from '../support/numbers.js';
import { connectionKinds, startServer, type TestServer } from '../support/server.js';
import { contextData } from '../support/status.js';
import { Log } from '../support/log.js';
import {
  createAuthority,
  issueCertificate,
  preSharedKey,
  tlsHandshake,
  startTls,
} from '../support/tls.js';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const noData = Buffer.alloc(0);
const acknowledged = [{ type: rep.ack, data: noData }];

const ca = await createAuthority();
const { key, cert: certificate } = await issueCertificate(ca, 'localhost');
const open = new BufferDisk(pattern(100_000));
const secret = new BufferDisk(pattern(50_000, 7));

function options(mode: 'on' | 'require', more: Partial<ServerOptions> = {}): ServerOptions {
  return {
    exports: { open, secret: { backend: secret, tls: 'require', description: 'for few' } },
    tls: { mode, certificate, key },
    ...more,
  };
}

async function greeted({ connect }: TestServer, flags?: number): Promise<ByteClient> {
  const client = await connect();
  await client.greet(flags);
  return client;
}

function trusting(version?: SecureVersion) {
  return {
    ca: ca.cert,
    ...(version !== undefined && { minVersion: version, maxVersion: version }),
  };
}

async function types(client: ByteClient, type: number, data?: Uint8Array): Promise<number[]> {
  return (await client.option(type, data)).map((reply) => reply.type);
}

function listed(name: string, description = ''): Buffer {
  return Buffer.concat([u32(name.length), Buffer.from(name + description)]);
}

for (const kind of connectionKinds) {
  for (const version of versions) {
    test(`over ${kind} with ${version}: options, reads and writes`, async (t) => {
      const disk = new BufferDisk(pattern(3_000_000));
      const serving = await startServer(t, options('require', { exports: { '': disk } }), kind);
      const client = await startTls(await greeted(serving), trusting(version));
      client.headers = 'structured';
      assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
      assert.equal((await client.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
      const whole = { type: cmd.read, length: disk.size };
      assert.ok((await client.call(whole)).data.equals(disk.bytes));
      const payload = pattern(1_234_567, 99);
      assert.equal((await client.call({ type: cmd.write, offset: 4321, payload })).error, 0);
      const expected = Buffer.concat([
        pattern(4321),
        payload,
        pattern(3_000_000).subarray(1238888),
      ]);
      assert.ok((await client.call(whole)).data.equals(expected));
      client.request({ type: cmd.disc });
      assert.equal((await client.closed).length, 0);
    });
  }
}

describe('NBD_OPT_STARTTLS', () => {
  test('without a certificate is ERR_POLICY, and the client may continue', async (t) => {
    const client = await greeted(await startServer(t, { exports: { '': open } }));
    assert.deepEqual(await types(client, opt.startTls), [rep.errPolicy]);
    assert.equal((await types(client, opt.go, goData(''))).at(-1), rep.ack);
  });

  test('with data is ERR_INVALID, and works without data', async (t) => {
    const client = await greeted(await startServer(t, options('require')));
    assert.deepEqual(await types(client, opt.startTls, Buffer.of(0)), [rep.errInvalid]);
    await startTls(client, trusting());
  });

  test('twice is ERR_INVALID, and the client may continue', async (t) => {
    const client = await startTls(await greeted(await startServer(t, options('on'))), trusting());
    assert.deepEqual(await types(client, opt.startTls), [rep.errInvalid]);
    assert.equal((await types(client, opt.go, goData('secret'))).at(-1), rep.ack);
  });

  test('resets structured replies', async (t) => {
    const client = await greeted(await startServer(t, options('on')));
    assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
    const secured = await startTls(client, trusting());
    const [reply] = await secured.option(opt.go, goData('open'));
    const flags = reply?.data.readUInt16BE(10) ?? 0;
    assert.equal(flags & transmission.sendDf, 0);
    assert.equal((await secured.call({ type: cmd.read, length: 512 })).error, 0);
  });

  test('resets extended headers', async (t) => {
    const client = await greeted(await startServer(t, options('on')));
    assert.deepEqual(await client.option(opt.extendedHeaders), acknowledged);
    const secured = await startTls(client, trusting());
    assert.deepEqual(await secured.option(opt.structuredReply), acknowledged);
    assert.equal((await secured.option(opt.go, goData('open'))).at(-1)?.type, rep.ack);
    secured.headers = 'structured';
    assert.equal((await secured.call({ type: cmd.read, length: 512 })).error, 0);
  });

  test('closes the backend and opens it again for the authenticated client', async (t) => {
    const opened: { client: Client; disk: BufferDisk }[] = [];
    const backend = (client: Client): BufferDisk => {
      const disk = new BufferDisk(pattern(4096 * (opened.length + 1)));
      opened.push({ client, disk });
      return disk;
    };
    const exports = { '': { backend, perConnection: true } };
    const tls = { preSharedKeys: new Map([['alice', Buffer.alloc(32, 'a')]]) };
    const client = await greeted(await startServer(t, { exports, tls }));
    assert.equal((await types(client, opt.info, goData(''))).at(-1), rep.ack);
    const alice = preSharedKey('alice', Buffer.alloc(32, 'a'), 'TLSv1.3');
    const secured = await startTls(client, alice);
    const [described] = await secured.option(opt.go, goData(''));
    assert.equal(described?.data.readBigUInt64BE(2), 8192n);
    assert.deepEqual(
      opened.map((one) => one.client.tls?.pskIdentity),
      [undefined, 'alice'],
    );
    assert.ok(opened[0]?.disk.calls.includes('close'));
    assert.ok(!opened[1]?.disk.calls.includes('close'));
    assert.equal((await secured.call({ type: cmd.read, length: 512 })).error, 0);
  });
});

const otherOptions: readonly (readonly [string, number, Buffer?])[] = [
  ['LIST', opt.list],
  ['INFO', opt.info, goData('open')],
  ['INFO of what there is not', opt.info, goData('nothing')],
  ['GO', opt.go, goData('open')],
  ['a malformed GO', opt.go, Buffer.of(1)],
  ['STRUCTURED_REPLY', opt.structuredReply],
  ['LIST_META_CONTEXT', 9, Buffer.concat([u32(4), Buffer.from('open'), u32(0)])],
  ['EXTENDED_HEADERS', opt.extendedHeaders],
  ['an unknown one', 99],
  ['one that is too long', opt.list, Buffer.alloc(100_000)],
];

describe('with TLS required, a client without', () => {
  for (const [name, type, data] of otherOptions) {
    test(`gets only ERR_TLS_REQD for ${name}`, async (t) => {
      const client = await greeted(await startServer(t, options('require')));
      assert.deepEqual(await types(client, type, data), [rep.errTlsReqd]);
      const secured = await startTls(client, trusting());
      assert.equal((await secured.option(opt.go, goData('open'))).at(-1)?.type, rep.ack);
    });
  }

  test('is disconnected at EXPORT_NAME', async (t) => {
    const log = new Log();
    const client = await greeted(await startServer(t, options('require', { logger: log })));
    client.send(optionBytes(opt.exportName, Buffer.from('open')));
    assert.equal((await client.closed).length, 0);
    assert.equal(log.shown.length, 1);
    assert.equal(log.shown[0]?.details['code'], 'NBDCORK_TLS_REQUIRED');
  });

  test('can leave with ABORT', async (t) => {
    const client = await greeted(await startServer(t, options('require')));
    assert.deepEqual(await client.option(opt.abort), acknowledged);
    assert.equal((await client.closed).length, 0);
  });

  test('is disconnected if it does not support fixed newstyle', async (t) => {
    const client = await greeted(await startServer(t, options('require')), 0);
    assert.equal((await client.closed).length, 0);
  });
});

describe('with TLS on, a client without', () => {
  test('may use an export that does not require TLS', async (t) => {
    const client = await (await startServer(t, options('on'))).open('simple', 'open');
    const { data } = await client.call({ type: cmd.read, length: 1000 });
    assert.ok(data.equals(pattern(1000)));
  });

  test('does not see exports that require TLS in the list', async (t) => {
    const client = await greeted(await startServer(t, options('on')));
    const first = { type: rep.server, data: listed('open') };
    assert.deepEqual(await client.option(opt.list), [first, ...acknowledged]);
    const secured = await startTls(client, trusting());
    const second = { type: rep.server, data: listed('secret', 'for few') };
    assert.deepEqual(await secured.option(opt.list), [first, second, ...acknowledged]);
  });

  for (const name of ['secret', 'nothing']) {
    for (const type of [opt.info, opt.go]) {
      test(`gets only ERR_TLS_REQD for option ${type} of '${name}'`, async (t) => {
        const client = await greeted(await startServer(t, options('on')));
        const replies = await client.option(type, goData(name, [info.name]));
        assert.deepEqual(
          replies.map((reply) => reply.type),
          [rep.errTlsReqd],
        );
        // Not even its text says which it is.
        const text = String(replies[0]?.data).replaceAll(name, 'NAME');
        assert.equal(
          text,
          `NBD_OPT_${type === opt.go ? 'GO' : 'INFO'}: unknown export "NAME" for a client without TLS. Send NBD_OPT_STARTTLS first.`,
        );
        const secured = await startTls(client, trusting());
        const expected = name === 'secret' ? rep.ack : rep.errUnknown;
        assert.equal((await types(secured, type, goData(name))).at(-1), expected);
      });
    }
  }

  for (const [option, type] of [
    ['LIST_META_CONTEXT', opt.listMetaContext],
    ['SET_META_CONTEXT', opt.setMetaContext],
  ] as const) {
    test(`gets ERR_UNKNOWN for ${option} of an export that requires TLS, as of an unknown one`, async (t) => {
      const client = await greeted(await startServer(t, options('on')));
      assert.deepEqual(await client.option(opt.structuredReply), acknowledged);
      const told: string[] = [];
      for (const name of ['secret', 'nothing']) {
        const [reply, ...others] = await client.option(type, contextData(name, []));
        assert.deepEqual([reply?.type, others], [rep.errUnknown, []]);
        told.push(String(reply?.data).replaceAll(name, 'NAME'));
      }
      assert.equal(told[0], told[1], 'not even its text says which it is');
    });
  }

  test('can use an export that requires TLS with extended headers after TLS', async (t) => {
    const client = await greeted(await startServer(t, options('on')));
    const [refused] = await types(client, opt.go, goData('secret'));
    assert.equal(refused, rep.errTlsReqd);
    const secured = await startTls(client, trusting());
    await secured.negotiate('extended', 'secret', ['base:allocation']);
    const { data } = await secured.call({ type: cmd.read, offset: 5, length: 40_000 });
    assert.ok(data.equals(pattern(50_000, 7).subarray(5, 40_005)));
    assert.equal((await secured.call({ type: cmd.blockStatus, length: 50_000 })).error, 0);
    assert.deepEqual(secured.lastStatus, [{ id: secured.contextIds[0], extents: [[50_000n, 0n]] }]);
  });

  test('is disconnected at EXPORT_NAME of an export that requires TLS', async (t) => {
    const log = new Log();
    const client = await greeted(await startServer(t, options('on', { logger: log })));
    client.send(optionBytes(opt.exportName, Buffer.from('secret')));
    assert.equal((await client.closed).length, 0);
    assert.equal(log.shown[0]?.details['code'], 'NBDCORK_EXPORT_REFUSED');
  });

  test('is served as if TLS were off if it does not support fixed newstyle', async (t) => {
    const client = await greeted(await startServer(t, options('on')), 0);
    assert.deepEqual(await types(client, opt.startTls), [rep.errPolicy]);
    assert.deepEqual(await types(client, opt.go, goData('secret')), [rep.errUnknown]);
    assert.equal((await types(client, opt.go, goData('open'))).at(-1), rep.ack);
  });
});

describe('an attacker', () => {
  for (const kind of connectionKinds) {
    test(`who sends an option right after NBD_OPT_STARTTLS, on ${kind}`, async (t) => {
      const log = new Log();
      const client = await greeted(await startServer(t, options('on', { logger: log }), kind));
      client.send(optionBytes(opt.startTls), optionBytes(opt.structuredReply));
      assert.equal((await client.closed).length, 0, 'not even an acknowledgement');
      assert.equal(log.shown.length, 1);
      assert.ok(log.shown[0] !== undefined);
      assert.equal(log.shown[0].details['code'], 'NBDCORK_TLS_INJECTION');
      assert.match(log.shown[0].message, /connection closed/);
    });

    test(`who sends an option in plaintext after the reply, on ${kind}`, async (t) => {
      const log = new Log();
      const client = await greeted(await startServer(t, options('on', { logger: log }), kind));
      assert.deepEqual(await client.option(opt.startTls), acknowledged);
      client.send(optionBytes(opt.list));
      const rest = await client.closed;
      assert.ok(!rest.includes(Buffer.from('open')), 'the list was not answered');
      await assertReason(log, /the client did not send TLS/);
    });

    test(`who disconnects in the middle of the TLS handshake, on ${kind}`, async (t) => {
      const log = new Log();
      const client = await greeted(await startServer(t, options('on', { logger: log }), kind));
      assert.deepEqual(await client.option(opt.startTls), acknowledged);
      client.send(Buffer.from('1603010200010001fc0303', 'hex'));
      client.stream.end();
      await client.closed;
      await assertReason(log, /the client disconnected/);
    });
  }

  test('who sends nothing after the reply is disconnected at handshakeTimeoutMs', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const log = new Log();
    const limits = { handshakeTimeoutMs: 5000 };
    const client = await greeted(await startServer(t, options('on', { logger: log, limits })));
    assert.deepEqual(await client.option(opt.startTls), acknowledged);
    t.mock.timers.tick(5000);
    assert.equal((await client.closed).length, 0);
    await log.findCode('NBDCORK_CLIENT_LEFT');
    assert.deepEqual(
      log.shown.map(({ details }) => details['code']),
      ['NBDCORK_HANDSHAKE_TIMEOUT'],
    );
  });

  test('who stops in the middle of the TLS handshake is disconnected at handshakeTimeoutMs', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const limits = { handshakeTimeoutMs: 5000 };
    const client = await greeted(await startServer(t, options('on', { limits })));
    assert.deepEqual(await client.option(opt.startTls), acknowledged);
    client.send(Buffer.from('1603010200010001fc0303', 'hex'));
    t.mock.timers.tick(5000);
    assert.equal((await client.closed).length, 0);
  });
});

test('closing the server ends a TLS handshake', async (t: TestContext) => {
  const serving = await startServer(t, options('on'));
  const client = await greeted(serving);
  assert.deepEqual(await client.option(opt.startTls), acknowledged);
  await serving.server.close();
  assert.equal((await client.closed).length, 0);
});

test('a client with TLS that has chosen an export is not disconnected at handshakeTimeoutMs', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const limits = { handshakeTimeoutMs: 5000 };
  const client = await greeted(await startServer(t, options('on', { limits })));
  assert.deepEqual(await client.option(opt.startTls), acknowledged);
  const secured = await tlsHandshake(client, trusting());
  assert.equal((await secured.option(opt.go, goData('open'))).at(-1)?.type, rep.ack);
  assert.equal((await secured.call({ type: cmd.flush })).error, 0);
  t.mock.timers.tick(60_000);
  assert.equal((await secured.call({ type: cmd.read, length: 512 })).error, 0);
});

/** One line for people, with the reason. */
async function assertReason(log: Log, reason: RegExp): Promise<void> {
  const { message } = await log.findCode('NBDCORK_TLS_FAILED');
  assert.match(message, reason);
  assert.equal(log.shown.length, 1);
}
