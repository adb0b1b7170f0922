import type { TlsMode } from '../../handshake/client.js';

/** Certificates, keys and lists are PEM; each may be several, concatenated. */
export interface TlsOptions {
  /**
   * `off`: no TLS. `on`, the default: clients may use TLS, and must for an export
   * with `tls: 'require'`. `require`: clients must use TLS; only this mode is safe
   * from an attacker who strips TLS from the negotiation.
   */
  readonly mode?: TlsMode;
  /** The server's certificate, followed by intermediate certificates. */
  readonly certificate?: string | Buffer;
  /** The private key of `certificate`. */
  readonly key?: string | Buffer;
  /** Certificates of the authorities that sign client certificates. */
  readonly authority?: string | Buffer;
  /** Revocation lists of `authority`. If present, every authority needs one. */
  readonly revocationLists?: string | Buffer;
  /** Reject clients without a certificate signed by `authority` or a pre-shared key. */
  readonly verifyPeer?: boolean;
  /** Keys of 1 to 64 bytes, by client identity. They work without a certificate. */
  readonly preSharedKeys?: ReadonlyMap<string, Uint8Array>;
}
