import type { Backend } from '../../backend/backend.js';
import type { Export, ExportDescription } from '../../backend/export.js';
import { NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import type { ExportCatalog } from '../../handshake/export-catalog.js';
import type { Catalog } from './catalog.js';
import type { ExportOptions, OpenBackend } from '../options.js';

/**
 * The exports for one connection. Uses at most one backend, which it leaves when the
 * client requests another one. It owns that of an export that is `perConnection`,
 * and closes it then.
 */
export class ConnectionExports implements ExportCatalog {
  private readonly catalog: Catalog;
  private own: { readonly name: string; readonly backend: Backend } | undefined;
  private shared: { readonly name: string; readonly backend: Backend } | undefined;
  private closed = false;
  /** The call in progress: a finder may take any time. */
  private pending: Promise<unknown> = Promise.resolve();
  /** The opening of its own backend. */
  private opening: Promise<unknown> = Promise.resolve();

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  find(requested: string, client: Client, mayStartTls: boolean): Promise<Export | undefined> {
    return this.call(() => this.open(requested, client, mayStartTls));
  }

  /** A connection that closes does not wait for it: that would keep its slot while a disk hangs. */
  async measure({ name, backend }: Export): Promise<void> {
    if (this.isClosed()) throw clientLeft();
    await this.catalog.backends.measure(name, backend);
  }

  list(client: Client): Promise<readonly ExportDescription[]> {
    return this.call(() => this.catalog.list(client));
  }

  /** Leaves its backend: after TLS the client has another identity. */
  forget(): Promise<void> {
    return this.call(() => this.release());
  }

  /** Leaves its backend, and one of its own that is still being opened. */
  async close(): Promise<void> {
    this.closed = true;
    await this.release();
    // An error in it was reported to the negotiation.
    await Promise.allSettled([this.opening]);
  }

  /** Resolves when no function of the user is running: a finder may take any time. */
  async answered(): Promise<void> {
    await Promise.allSettled([this.pending]);
  }

  /** The negotiation makes one call at a time, and may go on after the connection has closed. */
  private async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.isClosed()) throw clientLeft();
    const result = work();
    this.pending = result;
    return result;
  }

  private async open(
    requested: string,
    client: Client,
    mayStartTls: boolean,
  ): Promise<Export | undefined> {
    const found = await this.catalog.find(requested, client, mayStartTls);
    if (found === undefined) return undefined;
    const { name, backend, perConnection } = found;
    const opened =
      perConnection === true && typeof backend === 'function'
        ? await (this.opening = this.openOwn(name, backend, client))
        : await this.openShared(name, found, client);
    return { ...found, backend: opened };
  }

  private async openShared(name: string, entry: ExportOptions, client: Client): Promise<Backend> {
    await this.release();
    const { backends } = this.catalog;
    const backend = await backends.shared(name, entry, client);
    // The client disconnected meanwhile.
    if (this.isClosed()) {
      backends.leave(name, backend);
      throw clientLeft();
    }
    this.shared = { name, backend };
    return backend;
  }

  /** NBD_OPT_INFO and NBD_OPT_GO for one export use the same backend. */
  private async openOwn(name: string, open: OpenBackend, client: Client): Promise<Backend> {
    if (this.own?.name === name) return this.own.backend;
    // The client disconnected while the export was being found.
    if (this.isClosed()) throw clientLeft();
    await this.release();
    const backend = await this.catalog.backends.open(name, open, client);
    this.own = { name, backend };
    // The client disconnected while its backend was being opened.
    if (this.isClosed()) {
      await this.release();
      throw clientLeft();
    }
    return backend;
  }

  /** Not narrowed by the compiler: it changes during an await. */
  private isClosed(): boolean {
    return this.closed;
  }

  private async release(): Promise<void> {
    const { own, shared } = this;
    this.own = undefined;
    this.shared = undefined;
    if (shared !== undefined) this.catalog.backends.leave(shared.name, shared.backend);
    if (own !== undefined) await this.catalog.backends.closer.close(own.backend);
  }
}

function clientLeft(): NbdError {
  return new NbdError('NBDCORK_CLIENT_LEFT', 'The connection is closed.');
}
