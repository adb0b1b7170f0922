import type { Backend } from '../../backend/backend.js';
import type { Export, ExportDescription } from '../../backend/export.js';
import { NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import type { ExportCatalog } from '../../handshake/export-catalog.js';
import type { Catalog } from './catalog.js';
import type { OpenBackend } from '../options.js';

/**
 * The exports as one connection sees them. It holds at most one backend of its
 * own: a client that asks for another export gives back the one it has.
 */
export class ConnectionExports implements ExportCatalog {
  private readonly catalog: Catalog;
  private own: { readonly name: string; readonly backend: Backend } | undefined;
  private closed = false;
  /** The question in progress: an export may take its time to be found. */
  private asking: Promise<unknown> = Promise.resolve();
  /** The backend of its own that is being opened. */
  private opening: Promise<unknown> = Promise.resolve();

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  find(asked: string, client: Client, mayStartTls: boolean): Promise<Export | undefined> {
    return this.ask(() => this.open(asked, client, mayStartTls));
  }

  measure({ name, backend }: Export): Promise<void> {
    return this.ask(() => this.catalog.backends.measure(name, backend));
  }

  list(client: Client): Promise<readonly ExportDescription[]> {
    return this.ask(() => this.catalog.list(client));
  }

  /** What is opened from now on is opened for whom TLS has proven the client to be. */
  forget(): Promise<void> {
    return this.ask(() => this.release());
  }

  /** Nobody uses the connection's own backend any more. Settles when none is left, nor will be. */
  async close(): Promise<void> {
    this.closed = true;
    await this.release();
    // Where it fails, the handshake has been told.
    await Promise.allSettled([this.opening]);
  }

  /** Settles when nothing is asked any more: a hook of the user's may take any time to answer. */
  async answered(): Promise<void> {
    await Promise.allSettled([this.asking]);
  }

  /** The handshake asks for one thing after the other; what it has read may outlast the connection. */
  private async ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.isClosed()) throw clientLeft();
    const answer = question();
    this.asking = answer;
    return answer;
  }

  private async open(
    asked: string,
    client: Client,
    mayStartTls: boolean,
  ): Promise<Export | undefined> {
    const found = await this.catalog.find(asked, client, mayStartTls);
    if (found === undefined) return undefined;
    const { name, backend, perConnection } = found;
    const opened =
      perConnection === true && typeof backend === 'function'
        ? await (this.opening = this.openOwn(name, backend, client))
        : await this.catalog.backends.shared(name, backend, client);
    return { ...found, backend: opened };
  }

  /** NBD_OPT_INFO and NBD_OPT_GO for one export are answered by the same backend. */
  private async openOwn(name: string, open: OpenBackend, client: Client): Promise<Backend> {
    if (this.own?.name === name) return this.own.backend;
    // The client left while the export was being found.
    if (this.isClosed()) throw clientLeft();
    await this.release();
    const backend = await this.catalog.backends.open(name, open, client);
    this.own = { name, backend };
    // The client left while its backend was being opened.
    if (this.isClosed()) {
      await this.release();
      throw clientLeft();
    }
    return backend;
  }

  /** Asked anew each time: it changes while something is awaited. */
  private isClosed(): boolean {
    return this.closed;
  }

  private async release(): Promise<void> {
    const { own } = this;
    this.own = undefined;
    if (own !== undefined) await this.catalog.backends.closeOne(own.backend);
  }
}

function clientLeft(): NbdError {
  return new NbdError('NBDCORK_CLIENT_LEFT', 'The connection is closed.');
}
