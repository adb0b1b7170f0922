import type { TlsMode } from '../../handshake/client.js';

/** Certificates and keys are PEM; any of them may hold several, one behind the other. */
export interface TlsOptions {
  /**
   * `off`: no TLS. `on`, the default: clients may use it, and must for an
   * export that has `tls: 'require'`. `require`: they must in any case, which
   * is the only mode that a forger between client and server cannot talk them
   * out of.
   */
  readonly mode?: TlsMode;
  /** The server's certificate, followed by those between it and the authority's. */
  readonly certificate?: string | Buffer;
  /** The private key of `certificate`. */
  readonly key?: string | Buffer;
  /** Who signs the certificates of clients. */
  readonly authority?: string | Buffer;
  /** What `authority` has revoked. With it, a certificate of an authority that has no list is refused. */
  readonly revocationLists?: string | Buffer;
  /** Refuse clients without a certificate that `authority` has signed, or a pre-shared key. */
  readonly verifyPeer?: boolean;
  /** Keys of 1 to 64 bytes by the identity that clients give. Enough without a certificate. */
  readonly preSharedKeys?: ReadonlyMap<string, Uint8Array>;
}
