import type { Backend } from './backend.js';

/** What is known of an export before it is open. */
export interface ExportDescription {
  /** The name that clients ask for; '' is the default export. At most 4096 bytes in UTF-8. */
  readonly name: string;
  /** For people: clients that list exports show it. At most 4096 bytes in UTF-8. */
  readonly description?: string;
  /** True refuses every command that writes, whatever the backend supports. */
  readonly readOnly?: boolean;
  /** True lets clients change the size of the disk where the backend has `resize`: NBD_CMD_RESIZE. */
  readonly resizable?: boolean;
  /** `require`: clients without TLS can neither open nor list it. */
  readonly tls?: 'require';
  /**
   * True opens a backend for each connection and closes it with the connection.
   * Clients are then told not to use several connections, whatever the backend's
   * `multiConn` is.
   */
  readonly perConnection?: boolean;
}

/** An export that is open. */
export interface Export extends ExportDescription {
  readonly backend: Backend;
}
