/** Access rules: which clients they match, and what clients see of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  allowByRules,
  parseAccessRule,
  type Allow,
  type Client,
  type ExportFinder,
} from '../../lib/index.js';
import { goData, optionBytes, requestBytes, type ByteClient } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, opt, rep } from '../support/numbers.js';
import { startServer, eventLoopTurn, until } from '../support/server.js';
import { Log } from '../support/log.js';
import { preSharedKey, startTls } from '../support/tls.js';
import { withoutAddon } from '../transport/support/strategies.js';

const tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' };
const clients = {
  ipv4: { kind: 'tcp', address: '10.1.2.3', port: 1 },
  mapped: { kind: 'tcp', address: '::ffff:10.1.2.3', port: 1 },
  ipv6: { kind: 'tcp', address: '2001:db8::7', port: 1 },
  linkLocal: { kind: 'tcp', address: 'fe80::1%eth0', port: 1 },
  unix: { kind: 'unix', uid: 1000, gid: 100, pid: 7 },
  unknown: { kind: 'unix' },
  stream: { kind: 'stream' },
  certified: { kind: 'stream', tls: { ...tls, certificateSubject: 'CN=backup,O=Example' } },
  psk: { kind: 'stream', tls: { ...tls, pskIdentity: 'alice' } },
} satisfies Record<string, Client>;
const all = Object.keys(clients);

/** Clients with unknown credentials match rules that deny. */
const suspects: Record<string, readonly string[]> = {
  'user:1000': ['unknown'],
  'user:0': ['unknown'],
  'group:100': ['unknown'],
};

/** By rule: the names of the clients that it matches when they request an export. */
const matches: Record<string, readonly string[]> = {
  any: all,
  'address:10.1.2.3': ['ipv4', 'mapped'],
  'address:10.0.0.0/8': ['ipv4', 'mapped'],
  'address:10.1.2.0-10.1.2.2': [],
  'address:10.1.2.0-10.1.2.3': ['ipv4', 'mapped'],
  'address:2001:db8::/32': ['ipv6'],
  'address:fe80::/10': ['linkLocal'],
  'address:0.0.0.0/0': ['ipv4', 'mapped'],
  'user:1000': ['unix'],
  'user:0': [],
  'group:100': ['unix'],
  'certificate:CN=backup': ['certified'],
  'certificate:CN=backup,O=Example': ['certified'],
  'certificate:CN=back': [],
  'psk:alice': ['psk'],
  'psk:bob': [],
  'disk=any': all,
  'other=any': [],
  '=any': [],
};

function allow(...texts: string[]): (client: Client, exportName?: string) => boolean {
  return allowByRules(texts.map((text) => parseAccessRule(text.slice(1), text.startsWith('+'))));
}

describe('a rule', () => {
  for (const [text, names] of Object.entries(matches)) {
    test(`${text} matches ${names.join(', ') || 'none of the clients'}`, () => {
      const allowed = Object.entries(clients)
        .filter(([, client]) => allow(`+${text}`)(client, 'disk'))
        .map(([name]) => name);
      assert.deepEqual(allowed, names);
      const denied = Object.entries(clients)
        .filter(([, client]) => !allow(`-${text}`)(client, 'disk'))
        .map(([name]) => name);
      assert.deepEqual(denied, [...names, ...(suspects[text] ?? [])]);
    });
  }

  for (const text of [
    ...['', 'anybody', 'any:1', 'address', 'address:', 'address:10.0.0', 'address:10.0.0.0/33'],
    ...['address:10.0.0.9-10.0.0.1', 'address:10.0.0.0/8/9', 'address:example.com', 'user:root'],
    ...['user:', 'user:-1', 'certificate', 'psk:', 'disk='],
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => parseAccessRule(text, true), { code: 'NBDCORK_BAD_RULE' });
    });
  }
});

describe('an invalid address is rejected with a reason:', () => {
  for (const [value, why] of [
    ['10.0.0.9-10.0.0.1', /range is empty: try 10\.0\.0\.1-10\.0\.0\.9\.$/],
    ['::9-::1', /range is empty: try ::1-::9\.$/],
    ['10.0.0.1-::1', /Both ends of a range must be IPv4 or both IPv6\.$/],
    ['10.0.0.1-', /Invalid IP address ''\. Use any/],
    ['-10.0.0.1', /Invalid IP address ''\. Use any/],
    ['10.0.0.0/33', /an integer from 0 to 32\.$/],
    ['10.0.0.0/', /an integer from 0 to 32\.$/],
    ['::/129', /an integer from 0 to 128\.$/],
    ['example.com/8', /Invalid IP address 'example\.com'/],
    ['', /Invalid IP address ''/],
  ] as const) {
    test(value, () => {
      assert.throws(() => parseAccessRule(`address:${value}`, true), {
        code: 'NBDCORK_BAD_RULE',
        message: why,
      });
    });
  }
});

test('a comma inside a name does not make two of it', () => {
  const forged = { ...tls, certificateSubject: 'CN=mallory,O=A\\,CN=backup' };
  assert.equal(allow('+certificate:CN=backup')({ kind: 'tcp', tls: forged }, ''), false);
});

describe('rules', () => {
  test('the first that matches decides', () => {
    const rules = allow('-address:10.1.2.3', '+address:10.0.0.0/8', '+user:1000');
    assert.equal(rules(clients.ipv4, ''), false);
    assert.equal(rules({ kind: 'tcp', address: '10.9.9.9' }, ''), true);
    assert.equal(rules(clients.unix, ''), true);
    assert.equal(rules(clients.ipv6, ''), false);
  });

  test('let a client connect where only its export or TLS can tell', () => {
    const rules = allow('-address:10.0.0.0/8', '+backup=any', '+certificate:CN=backup');
    assert.equal(rules(clients.ipv4), false);
    assert.equal(rules(clients.ipv6), true);
    assert.equal(rules(clients.ipv6, 'other'), false);
    assert.equal(rules(clients.ipv6, 'backup'), true);
    assert.equal(allow('+psk:alice')(clients.stream), true);
    assert.equal(allow('+user:1000')(clients.stream), false);
  });
});

describe('a server', () => {
  const disk = new BufferDisk(pattern(4096));

  test('disconnects a denied client before the greeting', async (t) => {
    const { connect, server } = await startServer(
      t,
      { exports: { '': disk }, allow: allow('+address:192.0.2.1') },
      'TCP',
    );
    const client = await connect();
    assert.equal((await client.closed).length, 0);
    assert.equal(server.connectionCount, 0);
  });

  test('logs the reason of a refused connection', async (t) => {
    const logger = new Log();
    const limits = { connectionsMax: 1 };
    const exports = { '': disk };
    const { connect, server } = await startServer(t, { exports, logger, limits }, 'duplex');
    await connect();
    await (
      await connect()
    ).closed;
    await server.close();
    await (
      await connect()
    ).closed;
    const others = await startServer(t, { exports, logger, allow: () => false }, 'duplex');
    await (
      await others.connect()
    ).closed;
    assert.deepEqual(
      logger.shown.map(({ message }) => message),
      ['limit of 1 connections reached', 'the server is closing', 'access denied'].map(
        (why) => `connection refused: ${why}`,
      ),
    );
  });

  test('knows the credentials of a client on a Unix socket', { skip: withoutAddon }, async (t) => {
    const mine = allow(`+user:${process.getuid?.() ?? -1}`);
    const { open: openAgain } = await startServer(t, { exports: { '': disk }, allow: mine });
    await openAgain();
    const others = await startServer(t, {
      exports: { '': disk },
      allow: allow('+user:4294967294'),
    });
    const refused = await others.connect();
    assert.equal((await refused.closed).length, 0);
  });

  test('replies NBD_REP_ERR_POLICY for a denied export, and does not list it', async (t) => {
    const { connect } = await startServer(t, {
      exports: { open: disk, closed: disk },
      allow: allow('-closed=any'),
    });
    const client = await connect();
    await client.greet();
    const list = await client.option(opt.list);
    assert.deepEqual(
      list.slice(0, -1).map(({ data }) => data.toString('utf8', 4, 4 + data.readUInt32BE(0))),
      ['open'],
    );
    for (const option of [opt.info, opt.go]) {
      const [reply] = await client.option(option, goData('closed'));
      assert.equal(reply?.type, 0x80000002);
      assert.match(reply.data.toString(), /denied/);
    }
    assert.equal((await client.option(opt.go, goData('open'))).at(-1)?.type, rep.ack);
    const old = await connect();
    await old.greet();
    old.send(Buffer.concat([Buffer.from('IHAVEOPT\0\0\0\x01\0\0\0\x06closed', 'latin1')]));
    assert.equal((await old.closed).length, 0);
  });

  describe('with TLS on, of a client without', () => {
    const preSharedKeys = new Map([['alice', Buffer.alloc(32, 'a')]]);
    const exports = {
      pub: disk,
      keyed: disk,
      secret: { backend: disk, tls: 'require' },
    } as const;
    const rules = allow('+secret=psk:alice', '+keyed=psk:alice', '+pub=any');

    /** What INFO and GO are answered, and in which words. */
    async function answers(client: ByteClient, name: string): Promise<unknown[]> {
      const told: unknown[] = [];
      for (const option of [opt.info, opt.go]) {
        const [reply] = await client.option(option, goData(name));
        told.push(reply?.type, String(reply?.data).replaceAll(name, 'NAME'));
      }
      return told;
    }

    test('does not decide about an export that requires TLS, or reveal that it exists', async (t) => {
      const { connect } = await startServer(t, { exports, allow: rules, tls: { preSharedKeys } });
      const client = await connect();
      await client.greet();
      const told = await answers(client, 'secret');
      assert.equal(told[0], rep.errTlsReqd);
      assert.equal(told[2], rep.errTlsReqd);
      assert.deepEqual(await answers(client, 'nothing'), told);
      const psk = preSharedKey('alice', Buffer.alloc(32, 'a'), 'TLSv1.3');
      const secured = await startTls(client, psk);
      assert.equal((await secured.option(opt.go, goData('secret'))).at(-1)?.type, rep.ack);
    });

    test('denies exports of other clients like exports that do not exist', async (t) => {
      const { connect } = await startServer(t, { exports, allow: rules, tls: { preSharedKeys } });
      const client = await connect();
      await client.greet();
      const told = await answers(client, 'keyed');
      assert.equal(told[0], rep.errTlsReqd);
      assert.deepEqual(await answers(client, 'nothing'), told);
    });

    test('which it cannot start denies exports that require it like exports that do not exist', async (t) => {
      const { connect } = await startServer(t, { exports, allow: rules, tls: { preSharedKeys } });
      const client = await connect();
      await client.greet(0);
      const told = await answers(client, 'secret');
      assert.equal(told[0], rep.errPolicy);
      assert.doesNotMatch(String(told[1]), /TLS/);
      assert.deepEqual(await answers(client, 'nothing'), told);
    });

    test('denies exports of a finder without calling it', async (t) => {
      const sought: string[] = [];
      const finder: ExportFinder = {
        find: (name) => {
          sought.push(name);
          return name === 'nothing' ? undefined : exports.secret;
        },
      };
      const { connect } = await startServer(t, {
        exports: finder,
        allow: rules,
        tls: { preSharedKeys },
      });
      const client = await connect();
      await client.greet();
      const told = await answers(client, 'secret');
      assert.equal(told[0], rep.errTlsReqd);
      assert.deepEqual(await answers(client, 'nothing'), told);
      assert.deepEqual(sought, []);
    });
  });

  for (const admits of [true, false]) {
    test(`sends nothing before an asynchronous rule has decided ${admits}`, async (t) => {
      let decide: (admitted: boolean) => void = () => undefined;
      const own = new BufferDisk(pattern(4096));
      const allow: Allow = (_, name) =>
        name !== undefined || new Promise<boolean>((resolve) => (decide = resolve));
      const { connect, server } = await startServer(t, { exports: { '': own }, allow });
      const client = await connect();
      client.send(
        Buffer.from([0, 0, 0, 3]),
        optionBytes(opt.go, goData('')),
        requestBytes('simple', { type: cmd.write, payload: Buffer.alloc(4096) }),
      );
      await until(() => server.connectionCount === 1);
      for (let turns = 0; turns < 20; turns++) await eventLoopTurn();
      assert.deepEqual(own.calls, []);
      assert.equal(client.receivedBytes, 0);
      decide(admits);
      if (admits) {
        await until(() => own.calls.length > 0);
        assert.deepEqual(own.calls, ['write 0 4096']);
      } else {
        assert.equal((await client.closed).length, 0);
        assert.deepEqual(own.calls, []);
      }
    });
  }

  test('waits for a rule that takes time, and refuses where a rule fails', async (t) => {
    const late: Allow = (_, name) => Promise.resolve(name !== 'closed');
    const { connect } = await startServer(t, {
      exports: { open: disk, closed: disk },
      allow: late,
    });
    const client = await connect();
    await client.greet();
    assert.equal((await client.option(opt.info, goData('closed')))[0]?.type, 0x80000002);
    assert.equal((await client.option(opt.info, goData('open'))).at(-1)?.type, rep.ack);

    const logger = new Log();
    const refusing = await startServer(t, {
      exports: { '': disk },
      allow: () => Promise.resolve(false),
      logger,
    });
    await (
      await refusing.connect()
    ).closed;
    for (const failing of [
      () => Promise.reject(new Error('the database is gone')),
      () => {
        throw new Error('the database is gone');
      },
    ]) {
      const broken = await startServer(t, { exports: { '': disk }, allow: failing, logger });
      await (
        await broken.connect()
      ).closed;
      assert.equal(broken.server.connectionCount, 0);
    }
    assert.deepEqual(
      // Without the addon the message goes on.
      logger.shown.map(({ level, details, message }) => [
        level,
        details['peer'],
        message.split(';')[0],
      ]),
      [
        ['warn', 'unix', 'connection refused: access denied'],
        ['error', 'unix', 'access check failed: the database is gone'],
        ['warn', 'unix', 'connection refused: access denied'],
        ['error', 'unix', 'access check failed: the database is gone'],
        ['warn', 'unix', 'connection refused: access denied'],
      ],
    );
  });
});
