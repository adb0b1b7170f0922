import type { Backend, MaybePromise } from '../backend/backend.js';
import { messageOf, NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import type { ExportListing } from '../handshake/exports.js';
import { quoted } from '../quoted.js';
import type { Allow } from './access.js';
import { checkBackend, checkListing, checkOptions, optionsOf } from './check-export.js';
import { closeBackend } from './closing.js';
import type { ExportFinder, ExportOptions, Exports, Logger, OpenBackend } from './options.js';

export interface CatalogOptions {
  readonly allow: Allow;
  /** The name of the export that clients get who ask for none. */
  readonly defaultExport: string | undefined;
  readonly openExportsMax: number;
  readonly logger: Logger;
}

/** An export that a client may use, before its backend is open. */
export interface Found extends ExportOptions {
  readonly name: string;
}

/**
 * The exports of a server, and the backends that were opened for them. Those
 * that belong to one connection are its own: see `connection-exports.ts`.
 */
export class Catalog {
  private readonly fixed: ReadonlyMap<string, ExportOptions>;
  private readonly finder: ExportFinder | undefined;
  private readonly options: CatalogOptions;
  /** What was opened or found with its first client, by the name of the export. */
  private readonly opened = new Map<string, Promise<Backend>>();
  /** Backends that were given ready, or are open by now. */
  private readonly kept: Set<Backend>;
  private closed = false;

  /** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_STRING` for an export that no client could use. */
  constructor(exports: Exports, options: CatalogOptions) {
    this.options = options;
    this.finder = isFinder(exports) ? exports : undefined;
    this.fixed = new Map(
      Object.entries(isFinder(exports) ? {} : exports).map(([name, value]) => {
        const entry = optionsOf(value);
        checkOptions(name, entry);
        if (typeof entry.backend !== 'function') checkBackend(name, entry.backend);
        return [name, entry];
      }),
    );
    const { defaultExport } = options;
    if (this.finder === undefined && this.fixed.size === 0) {
      throw badExport('There is nothing to serve: give one export or more.');
    }
    if (
      this.finder === undefined &&
      defaultExport !== undefined &&
      !this.fixed.has(defaultExport)
    ) {
      throw badExport(`The default export '${defaultExport}' is not among the exports.`);
    }
    const backends = [...this.fixed.values()].map(({ backend }) => backend);
    this.kept = new Set(backends.filter((backend) => typeof backend !== 'function'));
  }

  /** Those that were given by name. */
  get names(): readonly string[] {
    return [...this.fixed.keys()];
  }

  /** As far as can be said before it is asked for. */
  requiresTls(name: string): boolean {
    return this.fixed.get(name)?.tls === 'require';
  }

  /**
   * Undefined where there is none, or none without TLS.
   * @throws NbdError `NBDCORK_EXPORT_DENIED` or `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async find(asked: string, client: Client, mayStartTls: boolean): Promise<Found | undefined> {
    const { defaultExport } = this.options;
    const name = asked === '' && !this.fixed.has('') ? (defaultExport ?? '') : asked;
    if (mayStartTls && this.isForTlsOrUnknown(name)) return undefined;
    if (!(await this.isAllowed(client, name))) throw denied(name, mayStartTls);
    const entry = this.fixed.get(name) ?? (await this.make(name, client));
    if (entry === undefined || (entry.tls === 'require' && client.tls === undefined)) {
      return undefined;
    }
    return { ...entry, name };
  }

  /**
   * Who could start TLS is told to, whatever the access rules say of it without:
   * "MUST reply with NBD_REP_ERR_TLS_REQD if that export is TLS-only"
   * ("SELECTIVETLS mode"). So is who asks for what there is not, which hides the
   * names. What has to be found is found only for whom the rules let in: where
   * they do not, both are denied.
   */
  private isForTlsOrUnknown(name: string): boolean {
    return this.finder === undefined && (!this.fixed.has(name) || this.requiresTls(name));
  }

  /** A rule that fails lets nobody in. */
  private async isAllowed(client: Client, name: string): Promise<boolean> {
    try {
      return await this.options.allow(client, name);
    } catch (error) {
      this.options.logger.error(
        { export: name, err: error },
        `an access rule failed: ${messageOf(error)}`,
      );
      return false;
    }
  }

  /** @throws NbdError `NBDCORK_LIST_UNAVAILABLE`. */
  async list(client: Client): Promise<readonly ExportListing[]> {
    try {
      return await this.listFor(client);
    } catch (error) {
      this.options.logger.error({ err: error }, `exports cannot be listed: ${messageOf(error)}`);
      throw new NbdError(
        'NBDCORK_LIST_UNAVAILABLE',
        "The exports cannot be listed now. The server's log says why.",
        error,
      );
    }
  }

  private async listFor(client: Client): Promise<readonly ExportListing[]> {
    const entries =
      this.finder === undefined
        ? [...this.fixed].map(([name, entry]) => ({ ...entry, name }))
        : ((await this.finder.list?.(client)) ?? []).filter((entry) => this.isListable(entry));
    const listed: ExportListing[] = [];
    for (const entry of entries) {
      if (await this.options.allow(client, entry.name)) listed.push(entry);
    }
    return listed;
  }

  /** Of what a finder lists: the log tells of what no client could be told. */
  private isListable(entry: ExportListing): boolean {
    try {
      checkListing(entry);
      return true;
    } catch (error) {
      this.options.logger.error(
        { listing: entry, err: error },
        `an export cannot be listed: ${messageOf(error)}`,
      );
      return false;
    }
  }

  /**
   * The backend that all clients of an export share, opened with the first.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`; the next client may try again.
   */
  async shared(found: Found, client: Client): Promise<Backend> {
    const { name, backend } = found;
    const opening = this.opened.get(name);
    if (typeof backend === 'function') {
      return opening ?? this.keep(name, () => this.open(name, backend, client));
    }
    if (opening === undefined && this.kept.has(backend)) return backend;
    try {
      return await (opening ?? this.keep(name, () => this.check(name, backend)));
    } finally {
      // Whoever asks for a name has the disk that was found first, and this one nobody has.
      if (!this.kept.has(backend)) await this.closeOne(backend);
    }
  }

  /** Opens a backend for one client. @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`. */
  async open(name: string, open: OpenBackend, client: Client): Promise<Backend> {
    this.requireRunning(name);
    const backend = await this.attempt(name, () => open(client));
    try {
      return await this.check(name, backend);
    } catch (error) {
      // Nobody else knows of it, and clients may ask for such a one without end.
      if (isObject(backend)) await this.closeOne(backend);
      throw error;
    }
  }

  /**
   * What a backend has to look for anew may be wrong by now, as when it was opened.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async measure(name: string, backend: Backend): Promise<void> {
    if (backend.measure === undefined) return;
    await this.attempt(name, () => backend.measure?.());
    await this.check(name, backend);
  }

  /** Flush and close the backends that clients share. Failures are logged. */
  async close(): Promise<void> {
    this.closed = true;
    const open = new Set(this.kept);
    // Each by itself: one that never opens must not keep the others from being flushed.
    const opening = [...this.opened.values()].map((backend) => this.closeWhenOpen(backend, open));
    await Promise.all([...[...open].map((backend) => this.closeOne(backend)), ...opening]);
  }

  /** Closes what none of `closed` is. Why it cannot be opened, whoever asked for it was told. */
  private closeWhenOpen(opening: Promise<Backend>, closed: Set<Backend>): Promise<void> {
    return opening.then(
      (backend) => {
        if (closed.has(backend)) return undefined;
        closed.add(backend);
        return this.closeOne(backend);
      },
      () => undefined,
    );
  }

  async closeOne(backend: Backend): Promise<void> {
    try {
      await closeBackend(backend);
    } catch (error) {
      this.options.logger.error({ err: error }, `closing a backend failed: ${messageOf(error)}`);
    }
  }

  private make(name: string, client: Client): Promise<ExportOptions | undefined> {
    return this.attempt(name, async () => {
      const value = await this.finder?.find(name, client);
      if (value === undefined) return undefined;
      const entry = optionsOf(value);
      checkOptions(name, entry);
      return entry;
    });
  }

  /** @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE` for whatever is wrong with it. */
  private check(name: string, backend: Backend): Promise<Backend> {
    return this.attempt(name, () => {
      checkBackend(name, backend);
      return backend;
    });
  }

  private async attempt<T>(name: string, work: () => MaybePromise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.unavailable(name, error);
    }
  }

  /** The backend that `open` brings is that of the name from now on. */
  private keep(name: string, open: () => Promise<Backend>): Promise<Backend> {
    this.requireRunning(name);
    this.requireRoom(name);
    const opening = open();
    this.opened.set(name, opening);
    opening.then(
      (backend) => this.kept.add(backend),
      () => this.opened.delete(name),
    );
    return opening;
  }

  private requireRunning(name: string): void {
    if (this.closed) throw this.unavailable(name, new Error('the server stops'));
  }

  /** Clients choose the names, so they could have any number of exports made. */
  private requireRoom(name: string): void {
    const { openExportsMax } = this.options;
    if (this.finder === undefined || this.opened.size < openExportsMax) return;
    throw this.unavailable(name, new Error(`${openExportsMax} exports are open, the limit`));
  }

  /** The client learns that it failed, the log why. */
  private unavailable(name: string, cause: unknown): NbdError {
    this.options.logger.error(
      { export: name, err: cause },
      `an export cannot be opened: ${messageOf(cause)}`,
    );
    return new NbdError(
      'NBDCORK_EXPORT_UNAVAILABLE',
      `The export ${quoted(name)} cannot be opened now. The server's log says why.`,
      cause,
    );
  }
}

function isFinder(exports: Exports): exports is ExportFinder {
  return typeof exports.find === 'function';
}

function badExport(message: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', message);
}

function denied(name: string, mayStartTls: boolean): NbdError {
  const hint = mayStartTls ? ' without TLS; NBD_OPT_STARTTLS may help' : '';
  return new NbdError(
    'NBDCORK_EXPORT_DENIED',
    `The export ${quoted(name)} is not for this client${hint}.`,
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
