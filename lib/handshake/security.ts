import type { Sender } from '../transport/sender.js';
import type { Client } from './client.js';

/**
 * The modes of "TLS support": NOTLS, SELECTIVETLS and FORCEDTLS, as nbdkit
 * calls them.
 */
export const tlsModes = ['off', 'on', 'require'] as const;
/** `off`, `on` (clients may use TLS) or `require` (clients must). */
export type TlsMode = (typeof tlsModes)[number];

/** What the handshake goes on with when the connection is encrypted. */
export interface Secured {
  readonly sender: Sender;
  /** The client, now with what TLS tells of it. */
  readonly client: Client;
}

/** The handshake's view of TLS. */
export interface Security {
  readonly mode: TlsMode;
  /**
   * Have NBD_OPT_STARTTLS acknowledged at the moment from which on nothing of
   * what comes is read in the clear any more, then shake hands.
   * @throws NbdError where that fails: "the server MUST terminate the session".
   */
  startTls(acknowledge: () => void): Promise<Secured>;
}
