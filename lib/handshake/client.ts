import type { Sender } from '../transport/sender.js';

/** What is known of a client from TLS. */
export interface ClientTls {
  /** Such as `TLSv1.3`. */
  readonly protocol: string;
  /** Such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The distinguished name in a certificate that was verified, such as `CN=backup,O=Example`. */
  readonly certificateSubject?: string;
  /** The name under which the client's pre-shared key is known. */
  readonly pskIdentity?: string;
}

/** What is known of a client so far. */
export interface Client {
  /** How the client is connected; `stream` is a stream given to `serve()`, or standard input and output. */
  readonly kind: 'tcp' | 'unix' | 'stream';
  /** The IP address of a client on TCP. */
  readonly address?: string;
  /** The TCP port of the client. */
  readonly port?: number;
  /** The user of a client on a Unix socket, as reported by the kernel. Needs the addon. */
  readonly uid?: number;
  /** The group of that user. */
  readonly gid?: number;
  /** The process that connected. */
  readonly pid?: number;
  /** Present after NBD_OPT_STARTTLS. */
  readonly tls?: ClientTls;
}

/** The client's name in the log. */
export function peerName({ kind, address, port }: Client): string {
  return address === undefined ? kind : `${address} port ${port ?? 0}`;
}

/** The modes of "TLS support": NOTLS, SELECTIVETLS and FORCEDTLS, by nbdkit's names for them. */
export const tlsModes = ['off', 'on', 'require'] as const;
/** `off`, `on` (clients may use TLS) or `require` (clients must). */
export type TlsMode = (typeof tlsModes)[number];

/** The connection after NBD_OPT_STARTTLS. */
export interface SecureConnection {
  readonly sender: Sender;
  /** The client, with its `tls`. */
  readonly client: Client;
}

/** What the handshake needs for TLS. */
export interface Security {
  readonly mode: TlsMode;
  /**
   * Stop reading plaintext, call `acknowledge`, then do the TLS handshake.
   * @throws NbdError where it fails: "the server MUST terminate the session".
   */
  startTls(acknowledge: () => void): Promise<SecureConnection>;
}
