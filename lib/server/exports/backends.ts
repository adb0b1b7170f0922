import type { Backend, MaybePromise } from '../../backend/backend.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import { quoted } from '../../quoted.js';
import { BackendUsers } from './backend-users.js';
import { checkBackend, isObject } from './check-export.js';
import { BackendCloser } from './close-backend.js';
import type { Logger } from '../log/logger.js';
import type { ExportOptions, OpenBackend } from '../options.js';

/** A disk may fail between being opened and being used. */
const openAttemptsMax = 3;

/**
 * Opens, measures and closes backends. Owns those that clients share, until the
 * server closes; a connection owns those that were opened for it alone.
 */
export class Backends {
  /** Backends that were opened or found for their first client, by the name of the export. */
  private readonly opened = new Map<string, Promise<Backend>>();
  /** Backends that were found for clients that must start TLS first, and are not in use yet. */
  private readonly held = new Map<string, Backend>();
  /** Open backends that clients may use. */
  private readonly kept: Set<Backend>;
  private readonly openExportsMax: number;
  private readonly logger: Logger;
  private readonly measuring = new Map<Backend, Promise<void>>();
  readonly closer: BackendCloser;
  private readonly users: BackendUsers;
  private closed = false;

  constructor(ready: Iterable<Backend>, openExportsMax: number, logger: Logger) {
    this.kept = new Set(ready);
    this.openExportsMax = openExportsMax;
    this.logger = logger;
    this.closer = new BackendCloser(logger);
    this.users = new BackendUsers(this.closer, logger);
  }

  /**
   * The backend that all clients of an export share, opened for the first of
   * them. A failed one is closed when its last client has left, and opened again
   * for the next. Call `leave` when the client no longer uses it.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`; the next client may try again.
   */
  async shared(name: string, entry: ExportOptions, client: Client): Promise<Backend> {
    const { users } = this;
    const reopens = openerOf(entry) !== undefined;
    for (let attempt = 0; attempt < openAttemptsMax; attempt++) {
      const backend = await this.current(name, entry, client);
      if (users.isRetired(backend)) continue;
      if (!reopens || !users.hasFailed(backend)) {
        users.add(backend, reopens);
        return backend;
      }
      this.requireRunning(name);
      if (users.count(backend) > 0) throw this.failed(name);
      this.retire(name, backend);
    }
    throw this.unavailable(name, new Error('its disk fails whenever it is opened again'));
  }

  /** One client less uses a backend of `shared`. */
  leave(name: string, backend: Backend): void {
    if (this.users.remove(backend) && !this.closed) this.retire(name, backend);
  }

  private retire(name: string, backend: Backend): void {
    this.kept.delete(backend);
    this.users.retire(name, backend);
  }

  /**
   * Keeps a backend that was found for a client that must start TLS first. Such
   * clients can request any number of names, so the oldest unused backends are closed,
   * and do not count as open exports.
   */
  async hold(name: string, backend: Backend | OpenBackend): Promise<void> {
    const { held, kept, opened, openExportsMax } = this;
    if (typeof backend === 'function' || held.get(name) === backend) return;
    if (this.closed || held.has(name) || opened.has(name)) {
      await this.discard(backend);
      return;
    }
    if (kept.has(backend) || this.users.isRetired(backend)) return;
    held.set(name, backend);
    const [oldest] = held;
    if (held.size <= openExportsMax || oldest === undefined) return;
    held.delete(oldest[0]);
    await this.discard(oldest[1]);
  }

  /** Closes a backend that no client will use, unless it is in use under another name. */
  async discard(backend: Backend | OpenBackend): Promise<void> {
    if (typeof backend === 'function' || !isObject(backend)) return;
    const { kept, held, users } = this;
    if (kept.has(backend) || [...held.values()].includes(backend)) return;
    if (users.isRetired(backend)) return;
    await this.closer.close(backend);
  }

  /** Opens a backend for one client. @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`. */
  async open(name: string, open: OpenBackend, client: Client): Promise<Backend> {
    this.requireRunning(name);
    const backend = await this.attempt(name, () => open(client));
    if (isObject(backend) && this.users.isRetired(backend)) {
      throw this.unavailable(name, new Error('its function returned the disk that was closed'));
    }
    try {
      return await this.check(name, backend);
    } catch (error) {
      // There is no other reference, and clients may repeat the request forever.
      if (isObject(backend)) await this.closer.close(backend);
      throw error;
    }
  }

  /**
   * Measures a backend again, and checks the result. Clients that ask meanwhile get
   * the same one: a disk that hangs is asked once, however many come and leave.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async measure(name: string, backend: Backend): Promise<void> {
    if (backend.measure === undefined) return;
    let measured = this.measuring.get(backend);
    if (measured === undefined) {
      measured = this.attempt(name, async () => backend.measure?.()).finally(() =>
        this.measuring.delete(backend),
      );
      this.measuring.set(backend, measured);
    }
    await measured;
    await this.check(name, backend);
  }

  /** Flushes and closes the backends that clients share. Errors are in `closer.dataLoss`. */
  async close(): Promise<void> {
    this.closed = true;
    const open = new Set([...this.kept, ...this.held.values()]);
    this.held.clear();
    // Independently: a backend that never opens must not delay flushing the others.
    const opening = [...this.opened.values()].map((backend) => this.closeWhenOpen(backend, open));
    const closing = [...open].map((backend) => this.closer.close(backend));
    await Promise.all([...closing, ...opening, this.users.retirements()]);
  }

  /** Closes a backend that is not in `closed`. If opening fails, its client has been told. */
  private closeWhenOpen(opening: Promise<Backend>, closed: Set<Backend>): Promise<void> {
    return opening.then(
      (backend) => {
        if (closed.has(backend) || this.users.isRetired(backend)) return undefined;
        closed.add(backend);
        return this.closer.close(backend);
      },
      () => undefined,
    );
  }

  /** @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE` for any error in `work`. */
  async attempt<T>(name: string, work: () => MaybePromise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.unavailable(name, error);
    }
  }

  /** @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE` for an invalid backend. */
  private check(name: string, backend: Backend): Promise<Backend> {
    return this.attempt(name, () => {
      checkBackend(name, backend);
      return backend;
    });
  }

  /** The backend of a name, which may have failed. */
  private async current(name: string, entry: ExportOptions, client: Client): Promise<Backend> {
    const { backend } = entry;
    const opening = this.opened.get(name);
    const first = typeof backend === 'function' ? undefined : (this.held.get(name) ?? backend);
    this.held.delete(name);
    if (opening === undefined && first !== undefined && this.kept.has(first)) return first;
    try {
      if (opening === undefined)
        return await this.keep(name, () => this.openFirst(name, entry, client, first));
      const known = await opening;
      // Another client may open it again already.
      if (!this.users.isRetired(known) || this.opened.get(name) !== opening) return known;
      this.opened.delete(name);
      return await this.keep(name, () => this.reopen(name, known, entry, client));
    } finally {
      // All clients of a name use the backend that was found first; others are closed.
      for (const one of new Set([first, backend])) {
        if (one !== undefined) await this.discard(one);
      }
    }
  }

  private openFirst(
    name: string,
    entry: ExportOptions,
    client: Client,
    first: Backend | undefined,
  ): Promise<Backend> {
    if (typeof entry.backend === 'function') return this.open(name, entry.backend, client);
    const one = first ?? entry.backend;
    return this.users.isRetired(one)
      ? this.reopen(name, one, entry, client)
      : this.check(name, one);
  }

  private async reopen(
    name: string,
    failed: Backend,
    entry: ExportOptions,
    client: Client,
  ): Promise<Backend> {
    // Two descriptors of one file would contradict each other's locks.
    await this.users.retirement(failed);
    const open = openerOf(entry);
    if (open === undefined) throw this.unavailable(name, new Error('its disk has failed'));
    const backend = await this.open(name, open, client);
    this.logger.info({ export: name }, 'the disk is open again');
    return backend;
  }

  /** Opens the backend of a name for all its clients. */
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
    if (this.closed) throw this.unavailable(name, new Error('the server is closing'));
  }

  /** Clients choose the names, and could otherwise open any number of exports. */
  private requireRoom(name: string): void {
    const { openExportsMax } = this;
    if (this.opened.size < openExportsMax) return;
    throw this.unavailable(name, new Error(`limit of ${openExportsMax} open exports reached`));
  }

  private failed(name: string): NbdError {
    const message =
      `Export ${quoted(name)} is unavailable: its disk has failed, ` +
      'and is opened again when its other clients have left.';
    this.logger.warn({ export: name }, message);
    return new NbdError('NBDCORK_EXPORT_UNAVAILABLE', message);
  }

  /** Logs the reason; the client only gets the code and the name. */
  private unavailable(name: string, cause: unknown): NbdError {
    this.logger.error({ export: name, err: cause }, `cannot open export: ${messageOf(cause)}`);
    return new NbdError(
      'NBDCORK_EXPORT_UNAVAILABLE',
      `Export ${quoted(name)} is unavailable: see the log of the server.`,
      cause,
    );
  }
}

/** The function that opens the backend again, where there is one. */
function openerOf({ backend, reopen }: ExportOptions): OpenBackend | undefined {
  return reopen ?? (typeof backend === 'function' ? backend : undefined);
}
