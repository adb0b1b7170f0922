import type { Backend } from '../backend/backend.js';
import type { MaybePromise } from '../backend/maybe-promise.js';
import type { Client } from './client.js';

/** A disk as clients see it. */
export interface Export {
  readonly name: string;
  /** For people: shown by clients that list exports. */
  readonly description?: string;
  /** True refuses every command that writes, whatever the backend can do. */
  readonly readOnly?: boolean;
  /** True allows NBD_CMD_RESIZE, where the backend has `resize`. */
  readonly resizable?: boolean;
  /** `require` keeps it from clients that have not sent NBD_OPT_STARTTLS. */
  readonly tls?: 'require';
  /** True where `backend` is that of one connection, and another one has another. */
  readonly perConnection?: boolean;
  readonly backend: Backend;
}

/** What a client may learn of an export before it is opened. */
export interface ExportListing {
  /** The name that clients ask for; '' is the default export. */
  readonly name: string;
  /** For people: shown by clients that list exports. */
  readonly description?: string;
  /** As in `Export`: such an export is not listed without TLS. */
  readonly tls?: 'require';
}

/** Where the handshake finds exports. The empty name asks for the default one. */
export interface ExportCatalog {
  /** `mayStartTls`: the client has no TLS yet, and could have it. */
  find(name: string, client: Client, mayStartTls: boolean): MaybePromise<Export | undefined>;
  /** Have the size of the export be that of this moment. */
  measure(entry: Export): MaybePromise<void>;
  list(client: Client): MaybePromise<readonly ExportListing[]>;
  /** Give back what was opened for the client, which begins anew. */
  forget(): MaybePromise<void>;
}
