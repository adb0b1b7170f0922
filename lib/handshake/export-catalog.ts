import type { Export, ExportDescription } from '../backend/export.js';
import type { MaybePromise } from '../backend/maybe-promise.js';
import { NbdError } from '../errors.js';
import type { Client } from './client.js';

/** The exports that one client can choose from. */
export interface ExportCatalog {
  /**
   * Find and open an export. Undefined where there is none that the client may
   * know of. The empty name asks for the default export.
   * @param mayStartTls The client has no TLS yet, and NBD_OPT_STARTTLS is available to it.
   */
  find(name: string, client: Client, mayStartTls: boolean): MaybePromise<Export | undefined>;
  /** Bring the size of the export up to date. */
  measure(entry: Export): MaybePromise<void>;
  list(client: Client): MaybePromise<readonly ExportDescription[]>;
  /** Close what was opened for this client: after NBD_OPT_STARTTLS it begins anew. */
  forget(): MaybePromise<void>;
}

/** The export requires TLS, which the client has not started: it must not know of it. */
export function isHidden({ tls }: Pick<ExportDescription, 'tls'>, client: Client): boolean {
  return tls === 'require' && client.tls === undefined;
}

/** For NBD_OPT_EXPORT_NAME, which has no error reply: "the server MUST terminate the session". */
export function exportRefused(message: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_EXPORT_REFUSED', message, cause);
}
