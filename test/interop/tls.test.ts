/** TLS with libnbd, which uses GnuTLS, and with QEMU: by certificates and by pre-shared keys. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, run, succeed } from '../support/peers.js';
import { programPath, serve } from '../support/program.js';

/** The folders of an authority, a server, a client and a client whose certificate was revoked. */
async function makeCertificates(
  t: TestContext,
): Promise<Record<'server' | 'client' | 'revoked', string>> {
  const root = await temporaryFolder(t);
  const at = (...names: string[]): string => join(root, ...names);
  const certtool = (...args: string[]): Promise<string> => succeed(t, 'certtool', args);
  for (const name of ['server', 'client', 'revoked']) await mkdir(at(name));
  await writeFile(
    at('ca.info'),
    'cn = authority\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 2\n',
  );
  await certtool('--generate-privkey', '--outfile', at('ca-key.pem'));
  const signer = ['--load-privkey', at('ca-key.pem')];
  await certtool(
    '--generate-self-signed',
    ...signer,
    '--template',
    at('ca.info'),
    '--outfile',
    at('ca-cert.pem'),
  );
  const authority = [
    '--load-ca-certificate',
    at('ca-cert.pem'),
    '--load-ca-privkey',
    at('ca-key.pem'),
  ];
  for (const name of ['server', 'client', 'revoked']) {
    const kind = name === 'server' ? 'server' : 'client';
    const usage =
      kind === 'server'
        ? 'tls_www_server\ndns_name = localhost\nip_address = 127.0.0.1\n'
        : 'tls_www_client\n';
    await writeFile(
      at(`${name}.info`),
      `cn = ${name}\nsigning_key\nencryption_key\n${usage}expiration_days = 2\n`,
    );
    const key = at(name, `${kind}-key.pem`);
    const certificate = at(name, `${kind}-cert.pem`);
    await certtool('--generate-privkey', '--outfile', key);
    await certtool(
      ...['--generate-certificate', '--load-privkey', key, ...authority],
      ...['--template', at(`${name}.info`), '--outfile', certificate],
    );
    await copyFile(at('ca-cert.pem'), at(name, 'ca-cert.pem'));
  }
  await writeFile(at('crl.info'), 'crl_next_update = 2\n');
  await certtool(
    ...[
      '--generate-crl',
      ...authority,
      '--template',
      at('crl.info'),
      '--outfile',
      at('server', 'ca-crl.pem'),
    ],
    ...['--load-certificate', at('revoked', 'client-cert.pem')],
  );
  return { server: at('server'), client: at('client'), revoked: at('revoked') };
}

async function makeKeys(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'keys.psk');
  await succeed(t, 'psktool', ['-u', 'alice', '-p', path]);
  return path;
}

const diskBytes = 4 * 2 ** 20;

/** Out of the server and back into another, and nothing is lost on the way. */
async function copies(
  t: TestContext,
  tlsArgs: string[],
  parameters: (uri: string) => string,
): Promise<void> {
  const folder = await temporaryFolder(t);
  const [image, copy] = [join(folder, 'disk.img'), join(folder, 'copy.img')];
  const content = randomBytes(diskBytes);
  await writeFile(image, content);
  const { uri } = await serve(t, ['--port', '0', '--tls', 'require', ...tlsArgs, image]);
  assert.match(uri, /^nbds:/);
  const full = parameters(uri.replace('127.0.0.1', 'localhost'));
  assert.match(await succeed(t, 'nbdinfo', [full]), /with TLS/);
  await succeed(t, 'nbdcopy', [full, copy]);
  assert.ok((await readFile(copy)).equals(content));
  const other = randomBytes(diskBytes);
  await writeFile(copy, other);
  await succeed(t, 'nbdcopy', ['--flush', copy, full]);
  assert.ok((await readFile(image)).equals(other));
}

describe('libnbd', () => {
  test('connects with the certificate of the server', async (t) => {
    if (!needs(t, 'certtool', 'nbdinfo', 'nbdcopy')) return;
    const { server, client } = await makeCertificates(t);
    await copies(t, ['--tls-certificates', server], (uri) => `${uri}/?tls-certificates=${client}`);
  });

  test('connects with a client certificate, unless it is revoked', async (t) => {
    if (!needs(t, 'certtool', 'nbdinfo', 'nbdcopy')) return;
    const { server, client, revoked } = await makeCertificates(t);
    const args = ['--tls-certificates', server, '--tls-verify-peer'];
    await copies(t, args, (uri) => `${uri}/?tls-certificates=${client}`);
    const { server: program, uri } = await serve(t, ['--port', '0', ...args, 'memory:1M']);
    const secure = uri.replace('nbd://127.0.0.1', 'nbds://localhost');
    const refused = await run(t, 'nbdinfo', [`${secure}/?tls-certificates=${revoked}`]);
    assert.notEqual(refused.status, 0);
    await program.stderr.match(/the client certificate is revoked/);
  });

  test('connects with a pre-shared key', async (t) => {
    if (!needs(t, 'psktool', 'nbdinfo', 'nbdcopy')) return;
    const keys = await makeKeys(t);
    await copies(
      t,
      ['--tls-psk', keys],
      (uri) => `${uri.replace('//', '//alice@')}/?tls-psk-file=${keys}`,
    );
  });

  test('is refused without TLS, and does not see exports that require it', async (t) => {
    if (!needs(t, 'psktool', 'nbdinfo')) return;
    const keys = await makeKeys(t);
    const strict = await serve(t, [
      '--port',
      '0',
      '--tls',
      'require',
      '--tls-psk',
      keys,
      'memory:1M',
    ]);
    assert.notEqual((await run(t, 'nbdinfo', [strict.uri.replace('nbds:', 'nbd:')])).status, 0);
    const selective = await serve(t, [
      ...['--port', '0', '--tls-psk', keys, '--tls-export', 'b', 'a=memory:1M', 'b=memory:1M'],
    ]);
    const shown = await succeed(t, 'nbdinfo', ['--list', selective.uri]);
    assert.match(shown, /export="a"/);
    assert.doesNotMatch(shown, /export="b"/);
  });

  test('is started with a complete URI', async (t) => {
    if (!needs(t, 'psktool', 'nbdinfo')) return;
    const keys = await makeKeys(t);
    const shown = await succeed(t, process.execPath, [
      ...[programPath, 'serve', '--tls', 'require', '--tls-psk', keys],
      ...['--run', 'nbdinfo "$NBD_URI"', 'memory:1M'],
    ]);
    assert.match(shown, /with TLS/);
  });
});

describe('QEMU', () => {
  test('connects with a client certificate', async (t) => {
    if (!needs(t, 'certtool', 'qemu-img')) return;
    const { server, client } = await makeCertificates(t);
    const { uri } = await serve(t, [
      ...['--port', '0', '--tls', 'require', '--tls-certificates', server, '--tls-verify-peer'],
      'memory:3M',
    ]);
    const shown = await succeed(t, 'qemu-img', [
      ...[
        'info',
        '--object',
        `tls-creds-x509,id=tls0,endpoint=client,dir=${client}`,
        '--image-opts',
      ],
      `driver=nbd,host=localhost,port=${new URL(uri).port},tls-creds=tls0`,
    ]);
    assert.match(shown, /virtual size: 3 MiB/);
  });

  test('connects with a pre-shared key', async (t) => {
    if (!needs(t, 'psktool', 'qemu-img')) return;
    const keys = await makeKeys(t);
    const { uri } = await serve(t, [
      '--port',
      '0',
      '--tls',
      'require',
      '--tls-psk',
      keys,
      'memory:3M',
    ]);
    const folder = join(keys, '..');
    const shown = await succeed(t, 'qemu-img', [
      ...['info', '--object', `tls-creds-psk,id=tls0,endpoint=client,dir=${folder},username=alice`],
      ...['--image-opts', `driver=nbd,host=localhost,port=${new URL(uri).port},tls-creds=tls0`],
    ]);
    assert.match(shown, /virtual size: 3 MiB/);
  });
});
