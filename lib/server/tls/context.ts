/** From `TlsOptions` to OpenSSL's context, which all connections share. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { messageOf, NbdError } from '../../errors.js';
import { checkPreSharedKey } from './psk-file.js';
import type { TlsOptions } from './options.js';

/**
 * What hides the traffic even from those who learn a key later, and is
 * authenticated encryption, by speed. A pre-shared key works in TLS 1.3 only
 * with a suite of SHA-256, so these stand first.
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
/** The last three are for clients that can do no better than the key itself. */
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
 * Sessions are not resumed: a connection lives long, and a certificate that
 * was revoked in the meantime, or a ticket taken for a pre-shared key, are not
 * worth the milliseconds. Renegotiation lets a client make a server compute.
 */
const secureOptions =
  constants.SSL_OP_NO_TICKET |
  constants.SSL_OP_NO_RENEGOTIATION |
  constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

/** @throws NbdError `NBDCORK_BAD_TLS` for options that make no sense, or cannot be read. */
export function secureContext(options: TlsOptions): SecureContext {
  check(options);
  const { certificate, key, authority, revocationLists, preSharedKeys } = options;
  const ciphers = preSharedKeys === undefined ? suites : [...suites, ...preSharedKeySuites];
  try {
    return createSecureContext({
      // Without an authority none is trusted, in place of everybody that Node trusts.
      ca: authority ?? [],
      ...(certificate !== undefined && { cert: certificate }),
      ...(key !== undefined && { key }),
      ...(revocationLists !== undefined && { crl: revocationLists }),
      ciphers: ciphers.join(':'),
      minVersion: 'TLSv1.2',
      dhparam: 'auto',
      // OpenSSL wants one where clients are verified, to take a pre-shared key by TLS 1.3.
      sessionIdContext: 'nbdcork',
      secureOptions,
    });
  } catch (cause) {
    throw badTls(`the certificates cannot be used: ${messageOf(cause)}`, cause);
  }
}

function check(options: TlsOptions): void {
  const { certificate, key, authority, revocationLists, preSharedKeys, verifyPeer } = options;
  if ((certificate === undefined) !== (key === undefined)) {
    throw badTls('a certificate and its private key belong together');
  }
  if (certificate === undefined && preSharedKeys === undefined) {
    throw badTls('it needs a certificate with its key, or pre-shared keys');
  }
  if (verifyPeer === true && certificate !== undefined && authority === undefined) {
    throw badTls('verifying clients needs the certificate of their authority');
  }
  if (revocationLists !== undefined && authority === undefined) {
    throw badTls('a revocation list needs the certificate of its authority');
  }
  if (preSharedKeys?.size === 0) throw badTls('there is no pre-shared key');
  preSharedKeys?.forEach((bytes, identity) => {
    checkPreSharedKey(identity, bytes);
  });
}

function badTls(why: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_TLS', `TLS cannot be set up: ${why}.`, cause);
}
