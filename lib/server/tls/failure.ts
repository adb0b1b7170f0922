/** Why a TLS handshake failed, in words for the log. */
import { codeOf, messageOf } from '../../errors.js';
import { quoted } from '../../quoted.js';

/** Node's names for what OpenSSL found; those of alerts come from the client. */
const reasons: Readonly<Record<string, string>> = {
  ECONNRESET: 'the client hung up',
  EPIPE: 'the client hung up',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the client does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'the client does not speak TLS but HTTP',
  ERR_SSL_HTTPS_PROXY_REQUEST: 'the client does not speak TLS but HTTP',
  ERR_SSL_UNEXPECTED_MESSAGE: 'the client does not speak TLS as it should',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the client is too old: it does not know TLS 1.2',
  ERR_SSL_VERSION_TOO_LOW: 'the client is too old: it does not know TLS 1.2',
  ERR_SSL_NO_SHARED_CIPHER: 'no cipher in common',
  ERR_SSL_NO_SUITABLE_KEY_SHARE: 'no key exchange in common',
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM:
    'the client has no pre-shared key that is known, nor can it use a certificate of this server',
  ERR_SSL_BINDER_DOES_NOT_VERIFY: 'the pre-shared key is wrong',
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 'the keys differ: is the pre-shared key right?',
  ERR_SSL_DIGEST_CHECK_FAILED: 'the keys differ: is the pre-shared key right?',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'the client has no certificate',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "the client does not know this server's authority",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "the client refuses this server's certificate",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "the client says that this server's certificate expired",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "the client refuses this server's certificate",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: 'the client finds nothing in common, or lacks the key',
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: 'the client found that the keys differ',
  ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC: 'the client found that the keys differ',
};

/** OpenSSL's results of verifying a client's certificate. */
const refusals: Readonly<Record<string, string>> = {
  CERT_REVOKED: 'the client certificate is revoked',
  CERT_HAS_EXPIRED: 'the client certificate has expired',
  CERT_NOT_YET_VALID: 'the client certificate is not valid yet',
  UNABLE_TO_GET_CRL: 'there is no revocation list of the authority of the client certificate',
  CRL_HAS_EXPIRED: 'the revocation list has expired: get a new one',
  UNABLE_TO_GET_ISSUER_CERT: 'the client has no certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the client certificate is of an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the client certificate is of an unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the client certificate is of an unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'the client certificate is of an unknown authority',
  CERT_SIGNATURE_FAILURE: 'the client certificate is forged',
  INVALID_PURPOSE: 'the client certificate is not for clients',
};

/** For an error of the handshake. `unknownIdentity` is what the client called itself, if that says it all. */
export function reasonOf(error: unknown, unknownIdentity: string | undefined): string {
  if (unknownIdentity !== undefined) {
    return `unknown PSK identity ${quoted(unknownIdentity)}`;
  }
  return reasons[codeOf(error) ?? ''] ?? opensslReason(messageOf(error));
}

/** For OpenSSL's name of what is wrong with a client's certificate. */
export function verifyReason(code: string): string {
  return refusals[code] ?? `the client certificate is refused (${code})`;
}

/** `803C…:error:0A000076:SSL routines:tls_choose_sigalg:no suitable …:t1_lib.c:3242:` */
function opensslReason(message: string): string {
  return /:error:[^:]*:[^:]*:[^:]*:([^:]*):/.exec(message)?.[1] ?? message.trim();
}
