/** Who may come in by TLS: certificates, pre-shared keys, and what the log says of refusals. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import {
  createServer,
  parseAccessRule,
  allowByRules,
  readPreSharedKeys,
  readTlsFolder,
  type Client,
  type TlsOptions,
} from '../../../lib/index.js';
import { goData } from '../../support/byte-client.js';
import { BufferDisk, pattern } from '../../support/disks.js';
import { temporaryFolder } from '../../support/folder.js';
import { cmd, opt, rep } from '../../support/numbers.js';
import { startServer } from '../../support/server.js';
import { Log } from '../../support/log.js';
import {
  createAuthority,
  issueCertificate,
  preSharedKey,
  tlsHandshake,
  startTls,
  tomorrow,
  yesterday,
} from '../../support/tls.js';

const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const ours = await createAuthority();
const stranger = await createAuthority('stranger');
const server = await issueCertificate(ours, 'localhost');
const disk = new BufferDisk(pattern(10_000));
const certificates: TlsOptions = {
  mode: 'require',
  certificate: server.cert,
  key: server.key,
  authority: ours.cert,
  verifyPeer: true,
};
const keys = new Map([
  ['alice', Buffer.alloc(32, 'a')],
  ['bob', Buffer.alloc(16, 'b')],
]);

/** Connects, is let in, and reads. What the server knew of it. */
async function accepted(
  t: TestContext,
  tls: TlsOptions,
  client: ConnectionOptions,
): Promise<Client> {
  const seen: Client[] = [];
  const allow = (who: Client): boolean => seen.push(who) > 0;
  const { connect } = await startServer(t, { exports: { '': disk }, tls, allow }, 'TCP');
  const plain = await connect();
  await plain.greet();
  const secured = await startTls(plain, client);
  assert.equal((await secured.option(opt.go, goData(''))).at(-1)?.type, rep.ack);
  const { data } = await secured.call({ type: cmd.read, offset: 512, length: 4096 });
  assert.ok(data.equals(disk.bytes.subarray(512, 4608)));
  const last = seen.at(-1);
  assert.ok(last !== undefined);
  return last;
}

/** The client is rejected, and the only line of the log has the reason. */
async function isRejected(
  t: TestContext,
  tls: TlsOptions,
  client: ConnectionOptions,
  why: RegExp,
): Promise<void> {
  const logger = new Log();
  const { connect } = await startServer(t, { exports: { '': disk }, tls, logger }, 'TCP');
  const plain = await connect();
  await plain.greet();
  assert.equal((await plain.option(opt.startTls)).at(-1)?.type, rep.ack);
  // In TLS 1.3 a client believes that it is in before the server has looked at its certificate.
  await tlsHandshake(plain, client).then(
    (secured) => secured.closed,
    () => undefined,
  );
  const { message } = await logger.findCode('NBDCORK_TLS_FAILED');
  assert.match(message, why);
  assert.equal(logger.shown.length, 1);
}

for (const version of versions) {
  const only = { minVersion: version, maxVersion: version, ca: ours.cert };

  describe(`verifyPeer, by ${version}`, () => {
    test('accepts a certificate signed by the authority, and has its subject', async (t) => {
      const client = await issueCertificate(ours, 'backup', { organization: 'Example' });
      const { tls } = await accepted(t, certificates, { ...only, ...client });
      assert.equal(tls?.protocol, version);
      assert.equal(tls.certificateSubject, 'CN=backup,O=Example');
      const rules = (text: string) => allowByRules([parseAccessRule(text, true)]);
      assert.ok(rules('certificate:CN=backup')({ kind: 'tcp', tls }, ''));
      assert.ok(rules('certificate:O=Example')({ kind: 'tcp', tls }, ''));
    });

    test('rejects other certificates with a reason', async (t) => {
      const old = await issueCertificate(ours, 'old', {
        from: yesterday,
        to: new Date(Date.now() - 1000),
      });
      const young = await issueCertificate(ours, 'young', {
        from: tomorrow,
        to: new Date(Date.now() + 2e8),
      });
      const forServers = await issueCertificate(ours, 'server', { usage: { serverAuth: true } });
      const strange = await issueCertificate(stranger, 'backup');
      await isRejected(t, certificates, only, /the client has no certificate/);
      await isRejected(t, certificates, { ...only, ...old }, /has expired/);
      await isRejected(t, certificates, { ...only, ...young }, /not yet valid/);
      await isRejected(t, certificates, { ...only, ...forServers }, /not valid for clients/);
      await isRejected(t, certificates, { ...only, ...strange }, /unknown authority/);
    });
  });

  describe(`pre-shared keys, by ${version}`, () => {
    const tls: TlsOptions = { mode: 'require', preSharedKeys: keys };

    test('authenticate a client by its identity', async (t) => {
      for (const [identity, key] of keys) {
        const client = await accepted(t, tls, preSharedKey(identity, key, version));
        assert.equal(client.tls?.pskIdentity, identity);
        assert.equal(client.tls.protocol, version);
      }
    });

    test('reject wrong keys and unknown identities with a reason', async (t) => {
      const wrong = preSharedKey('alice', Buffer.alloc(32, 'x'), version);
      await isRejected(t, tls, wrong, /key is wrong|keys differ/);
      const unknown = preSharedKey('mallory', Buffer.alloc(32, 'a'), version);
      await isRejected(t, tls, unknown, /unknown PSK identity "mallory"/);
    });

    test('work beside certificates', async (t) => {
      const both = { ...certificates, preSharedKeys: keys };
      const alice = preSharedKey('alice', Buffer.alloc(32, 'a'), version);
      assert.equal((await accepted(t, both, alice)).tls?.pskIdentity, 'alice');
      const client = await issueCertificate(ours, 'backup');
      const { tls: seen } = await accepted(t, both, { ...only, ...client });
      assert.equal(seen?.certificateSubject, 'CN=backup');
      assert.equal(seen.pskIdentity, undefined);
    });
  });
}

test('a certificate is ignored without verifyPeer', async (t) => {
  const tls = { ...certificates, verifyPeer: false };
  const client = await issueCertificate(stranger, 'backup');
  const seen = await accepted(t, tls, { ca: ours.cert, ...client });
  assert.equal(seen.tls?.certificateSubject, undefined);
});

describe('rejects invalid options:', () => {
  const wrong: Record<string, TlsOptions> = {
    'neither certificate nor key': {},
    'a certificate without its key': { certificate: server.cert },
    'a key without its certificate': { key: server.key },
    'the key of another': { certificate: server.cert, key: ours.key },
    'an invalid certificate': { certificate: 'no', key: server.key },
    'verifyPeer without an authority': {
      certificate: server.cert,
      key: server.key,
      verifyPeer: true,
    },
    'verifyPeer while TLS is off': { ...certificates, mode: 'off' },
    'no pre-shared key': { preSharedKeys: new Map() },
    'an empty pre-shared key': { preSharedKeys: new Map([['a', Buffer.alloc(0)]]) },
    'a pre-shared key that is too long': { preSharedKeys: new Map([['a', Buffer.alloc(65)]]) },
    'an identity that is too long': {
      preSharedKeys: new Map([['a'.repeat(129), Buffer.alloc(9)]]),
    },
  };
  for (const mode of ['required', 'ON', '', 'constructor']) {
    const tls: TlsOptions = { ...certificates };
    Object.assign(tls, { mode });
    wrong[`the mode '${mode}'`] = tls;
  }
  const mistyped: TlsOptions = { ...certificates };
  Object.assign(mistyped, { verifyPeer: 'yes' });
  wrong['a verifyPeer that is a string'] = mistyped;
  for (const [what, tls] of Object.entries(wrong)) {
    test(what, () => {
      assert.throws(() => createServer({ exports: { '': disk }, tls }), {
        code: 'NBDCORK_BAD_TLS',
      });
    });
  }

  test('an export that requires TLS without TLS options', () => {
    assert.throws(() => createServer({ exports: { '': { backend: disk, tls: 'require' } } }), {
      code: 'NBDCORK_BAD_TLS',
    });
  });
});

describe('files', () => {
  test('of psktool are parsed', async (t) => {
    const path = join(await temporaryFolder(t), 'keys.psk');
    await writeFile(path, 'alice:616263\r\n#626F62:00ff\n\n');
    const expected = new Map([
      ['alice', Buffer.from('abc')],
      ['bob', Buffer.from([0, 255])],
    ]);
    assert.deepEqual(await readPreSharedKeys(path), expected);
  });

  test('without valid keys are rejected, and keys are not shown', async (t) => {
    const path = join(await temporaryFolder(t), 'keys.psk');
    for (const text of [
      '',
      'alice',
      'alice:',
      'alice:61626',
      'alice:zz',
      'a:61\na:62',
      '#zz:61',
      ':61',
    ]) {
      await writeFile(path, text);
      await assert.rejects(readPreSharedKeys(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'NBDCORK_BAD_TLS');
        assert.ok(!error.message.includes('61'));
        return true;
      });
    }
    await assert.rejects(readPreSharedKeys(`${path}.not`), { code: 'NBDCORK_BAD_TLS' });
  });

  test('of certificates are read by name', async (t) => {
    const folder = join(await temporaryFolder(t), 'pki');
    await mkdir(folder);
    await assert.rejects(readTlsFolder(folder), {
      code: 'NBDCORK_BAD_TLS',
      // Both are missing, and read at the same time.
      message: /server-(cert|key)\.pem/,
    });
    await writeFile(join(folder, 'server-cert.pem'), server.cert);
    await writeFile(join(folder, 'server-key.pem'), server.key);
    assert.deepEqual(Object.keys(await readTlsFolder(folder)), ['certificate', 'key']);
    await writeFile(join(folder, 'ca-cert.pem'), ours.cert);
    const { authority: read } = await readTlsFolder(folder);
    assert.equal(read?.toString(), ours.cert);
  });
});
