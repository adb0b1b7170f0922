/** Reasons of failed TLS handshakes, for the log. */
import { codeOf, messageOf } from '../../errors.js';
import { quoted } from '../../quoted.js';

/** By the codes of Node.js errors; those of alerts were sent by the client. */
const reasons: Readonly<Record<string, string>> = {
  ECONNRESET: 'the client disconnected',
  EPIPE: 'the client disconnected',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the client did not send TLS',
  ERR_SSL_HTTP_REQUEST: 'the client sent HTTP, not TLS',
  ERR_SSL_HTTPS_PROXY_REQUEST: 'the client sent HTTP, not TLS',
  ERR_SSL_UNEXPECTED_MESSAGE: 'the client sent an unexpected TLS message',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the client does not support TLS 1.2 or newer',
  ERR_SSL_VERSION_TOO_LOW: 'the client does not support TLS 1.2 or newer',
  ERR_SSL_NO_SHARED_CIPHER: 'no cipher in common',
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'no key exchange in common',
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM:
    'the client has neither a known pre-shared key nor support for the type of this certificate',
  ERR_SSL_BINDER_DOES_NOT_VERIFY: 'the pre-shared key is wrong',
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 'the keys differ: check the pre-shared key',
  ERR_SSL_DIGEST_CHECK_FAILED: 'the keys differ: check the pre-shared key',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'the client has no certificate',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    "the client does not trust the authority of this server's certificate",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the client rejected this server's certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    "the client reported that this server's certificate has expired",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "the client rejected this server's certificate",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE:
    'the client reported that there is no common cipher, or that it has no key',
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: 'the client reported that the keys differ',
  ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC: 'the client reported that the keys differ',
};

/** By OpenSSL's codes for the verification of a client's certificate. */
const verifyReasons: Readonly<Record<string, string>> = {
  CERT_REVOKED: 'the client certificate is revoked',
  CERT_HAS_EXPIRED: 'the client certificate has expired',
  CERT_NOT_YET_VALID: 'the client certificate is not yet valid',
  UNABLE_TO_GET_CRL: 'no revocation list for the authority of the client certificate',
  CRL_HAS_EXPIRED: 'the revocation list has expired: update it',
  UNABLE_TO_GET_ISSUER_CERT: 'the client has no certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the client certificate is signed by an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the client certificate is signed by an unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the client certificate is signed by an unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'the client certificate is signed by an unknown authority',
  CERT_SIGNATURE_FAILURE: 'the signature of the client certificate is invalid',
  INVALID_PURPOSE: 'the client certificate is not valid for clients',
};

/** The reason of a failed handshake. `unknownIdentity` is the client's PSK identity, if it is unknown. */
export function reasonOf(error: unknown, unknownIdentity: string | undefined): string {
  if (unknownIdentity !== undefined) {
    return `unknown PSK identity ${quoted(unknownIdentity)}`;
  }
  return reasons[codeOf(error) ?? ''] ?? opensslReason(messageOf(error));
}

/** The reason why the certificate of a client was rejected. */
export function verifyReason(code: string): string {
  return verifyReasons[code] ?? `the client certificate was rejected (${code})`;
}

/** `803C…:error:0A000076:SSL routines:tls_choose_sigalg:no suitable …:t1_lib.c:3242:` */
function opensslReason(message: string): string {
  return /:error:[^:]*:[^:]*:[^:]*:([^:]*):/.exec(message)?.[1] ?? message.trim();
}
