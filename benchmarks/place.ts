/** Where a server is to be reached. */
export type Place =
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  /** Two named pipes: the load writes into `requests` and reads from `replies`. */
  | { readonly type: 'pipes'; readonly requests: string; readonly replies: string };

/** A pre-shared key for TLS, as a file of GnuTLS's psktool has it. */
export interface PreSharedKey {
  readonly identity: string;
  readonly keyHex: string;
}
