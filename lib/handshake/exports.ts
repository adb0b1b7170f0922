import type { Export, ExportDescription } from '../backend/export.js';
import type { MaybePromise } from '../backend/maybe-promise.js';
import type { Client } from './client.js';

/** Where the handshake finds exports. The empty name asks for the default one. */
export interface ExportCatalog {
  /** `mayStartTls`: the client has no TLS yet, and could have it. */
  find(name: string, client: Client, mayStartTls: boolean): MaybePromise<Export | undefined>;
  /** Have the size of the export be that of this moment. */
  measure(entry: Export): MaybePromise<void>;
  list(client: Client): MaybePromise<readonly ExportDescription[]>;
  /** Give back what was opened for the client, which begins anew. */
  forget(): MaybePromise<void>;
}
