/** Certificates and pre-shared keys for tests of TLS, and clients that send NBD_OPT_STARTTLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type ConnectionOptions } from 'node:tls';
import { generate } from 'selfsigned';
import { ByteClient } from './byte-client.js';
import { opt, rep } from './numbers.js';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface CertificateOptions {
  readonly organization?: string;
  readonly from?: Date;
  readonly to?: Date;
  /** Default: both. */
  readonly usage?: { readonly serverAuth?: boolean; readonly clientAuth?: boolean };
}

const dayMs = 24 * 3600 * 1000;
export const yesterday = new Date(Date.now() - dayMs);
export const tomorrow = new Date(Date.now() + dayMs);
const lately = new Date(Date.now() - dayMs / 24);

/** A certificate authority. */
export async function createAuthority(name = 'authority'): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(yesterday.getTime() - dayMs),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { key, cert };
}

/** A certificate for `name`, localhost and 127.0.0.1, signed by an authority. */
export async function issueCertificate(
  authority: Certificate,
  name: string,
  options: CertificateOptions = {},
): Promise<Certificate> {
  const { organization, from = lately, to = tomorrow } = options;
  const usage = options.usage ?? { serverAuth: true, clientAuth: true };
  const subject = [
    ...(organization === undefined ? [] : [{ name: 'organizationName', value: organization }]),
    { name: 'commonName', value: name },
  ];
  const { private: key, cert } = await generate(subject, {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: from,
    notAfterDate: to,
    ca: authority,
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', ...usage },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { key, cert };
}

/**
 * NBD_OPT_STARTTLS and what follows, on a client that has answered the
 * greeting: the same client behind TLS.
 */
export async function startTls(
  client: ByteClient,
  options: ConnectionOptions,
): Promise<ByteClient> {
  const replies = await client.option(opt.startTls);
  assert.deepEqual(replies, [{ type: rep.ack, data: Buffer.alloc(0) }]);
  return tlsHandshake(client, options);
}

/** The TLS handshake alone. */
export async function tlsHandshake(
  client: ByteClient,
  options: ConnectionOptions,
): Promise<ByteClient> {
  const socket = connect({ socket: client.stream, servername: 'localhost', ...options });
  await once(socket, 'secureConnect');
  // The connection below may be half open, and so may this one.
  socket.on('end', () => socket.end());
  return new ByteClient(socket);
}

/** For clients with a pre-shared key and no certificate at all. */
export function preSharedKey(
  identity: string,
  psk: Uint8Array,
  version: 'TLSv1.2' | 'TLSv1.3',
): ConnectionOptions {
  return {
    minVersion: version,
    maxVersion: version,
    ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256',
    pskCallback: () => ({ identity, psk }),
    // There is no certificate to check: the server has proven itself by knowing the key.
    checkServerIdentity: () => undefined,
  };
}
