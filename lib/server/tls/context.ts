/** OpenSSL's context from `TlsOptions`; all connections share it. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { messageOf, NbdError } from '../../errors.js';
import { checkPreSharedKey } from './psk-file.js';
import type { TlsOptions } from './options.js';

/**
 * Suites with forward secrecy and authenticated encryption, fastest first. In
 * TLS 1.3 a pre-shared key works only with a SHA-256 suite, so these come first.
 */
const suites = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
/** The last three, without forward secrecy, are for clients that support no others. */
const preSharedKeySuites = [
  'ECDHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES128-GCM-SHA256',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-CHACHA20-POLY1305',
  'PSK-AES128-GCM-SHA256',
  'PSK-AES256-GCM-SHA384',
  'PSK-CHACHA20-POLY1305',
];

/**
 * No session resumption: connections are long, and it would let in revoked
 * certificates, and make a ticket look like a pre-shared key. No renegotiation:
 * it would let a client cause load.
 */
const secureOptions =
  constants.SSL_OP_NO_TICKET |
  constants.SSL_OP_NO_RENEGOTIATION |
  constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

/** @throws NbdError `NBDCORK_BAD_TLS` for invalid options, certificates and keys. */
export function secureContext(options: TlsOptions): SecureContext {
  check(options);
  const { certificate, key, authority, revocationLists, preSharedKeys } = options;
  const ciphers = preSharedKeys === undefined ? suites : [...suites, ...preSharedKeySuites];
  try {
    return createSecureContext({
      // Without an authority trust none, rather than those that Node.js trusts.
      ca: authority ?? [],
      ...(certificate !== undefined && { cert: certificate }),
      ...(key !== undefined && { key }),
      ...(revocationLists !== undefined && { crl: revocationLists }),
      ciphers: ciphers.join(':'),
      minVersion: 'TLSv1.2',
      dhparam: 'auto',
      // OpenSSL needs one to accept a pre-shared key in TLS 1.3 while verifying clients.
      sessionIdContext: 'nbdcork',
      secureOptions,
    });
  } catch (cause) {
    throw badTls(`invalid certificate or key: ${messageOf(cause)}`, cause);
  }
}

function check(options: TlsOptions): void {
  const { certificate, key, authority, revocationLists, preSharedKeys, verifyPeer } = options;
  if ((certificate === undefined) !== (key === undefined)) {
    throw badTls('a certificate needs its private key, and a key its certificate');
  }
  if (certificate === undefined && preSharedKeys === undefined) {
    throw badTls('it needs a certificate and its key, or pre-shared keys');
  }
  if (verifyPeer === true && certificate !== undefined && authority === undefined) {
    throw badTls('verifying clients needs an authority');
  }
  if (revocationLists !== undefined && authority === undefined) {
    throw badTls('a revocation list needs its authority');
  }
  if (preSharedKeys?.size === 0) throw badTls('preSharedKeys is empty');
  preSharedKeys?.forEach((bytes, identity) => {
    checkPreSharedKey(identity, bytes);
  });
}

function badTls(reason: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_TLS', `Invalid TLS options: ${reason}.`, cause);
}
