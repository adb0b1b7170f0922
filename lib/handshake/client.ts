/** What TLS tells of a client. */
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

/** Who a client is, as far as the server knows by now. */
export interface Client {
  /** How the client is connected; `stream` is a stream given to `serve()`, or standard input and output. */
  readonly kind: 'tcp' | 'unix' | 'stream';
  /** The IP address of a client that came by TCP. */
  readonly address?: string;
  /** The TCP port of the client. */
  readonly port?: number;
  /** The user of a client on a Unix socket, as reported by the kernel. Needs the addon. */
  readonly uid?: number;
  /** The group of that user. */
  readonly gid?: number;
  /** The process that connected. */
  readonly pid?: number;
  /** There once NBD_OPT_STARTTLS has succeeded. */
  readonly tls?: ClientTls;
}
