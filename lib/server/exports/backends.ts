import type { Backend, MaybePromise } from '../../backend/backend.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import { quoted } from '../../quoted.js';
import { checkBackend, isObject } from './check-export.js';
import { closeBackend } from './close-backend.js';
import type { Logger } from '../log/logger.js';
import type { OpenBackend } from '../options.js';

/** One is enough to know that data may be lost; the log has them all. */
const closeErrorsMax = 16;

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
  /** Errors of disks that could not be flushed or closed: data may be lost. */
  private readonly closeErrors: unknown[] = [];
  private closed = false;

  constructor(ready: Iterable<Backend>, openExportsMax: number, logger: Logger) {
    this.kept = new Set(ready);
    this.openExportsMax = openExportsMax;
    this.logger = logger;
  }

  /**
   * The backend that all clients of an export share, opened for the first of them.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`; the next client may try again.
   */
  async shared(name: string, backend: Backend | OpenBackend, client: Client): Promise<Backend> {
    const opening = this.opened.get(name);
    if (typeof backend === 'function') {
      return opening ?? this.keep(name, () => this.open(name, backend, client));
    }
    const first = this.held.get(name) ?? backend;
    this.held.delete(name);
    if (opening === undefined && this.kept.has(first)) return first;
    try {
      return await (opening ?? this.keep(name, () => this.check(name, first)));
    } finally {
      // All clients of a name use the backend that was found first; others are closed.
      for (const one of new Set([first, backend])) await this.discard(one);
    }
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
    if (kept.has(backend)) return;
    held.set(name, backend);
    const [oldest] = held;
    if (held.size <= openExportsMax || oldest === undefined) return;
    held.delete(oldest[0]);
    await this.discard(oldest[1]);
  }

  /** Closes a backend that no client will use, unless it is in use under another name. */
  async discard(backend: Backend | OpenBackend): Promise<void> {
    if (typeof backend === 'function' || !isObject(backend)) return;
    if (this.kept.has(backend) || [...this.held.values()].includes(backend)) return;
    await this.closeOne(backend);
  }

  /** Opens a backend for one client. @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`. */
  async open(name: string, open: OpenBackend, client: Client): Promise<Backend> {
    this.requireRunning(name);
    const backend = await this.attempt(name, () => open(client));
    try {
      return await this.check(name, backend);
    } catch (error) {
      // There is no other reference, and clients may repeat the request forever.
      if (isObject(backend)) await this.closeOne(backend);
      throw error;
    }
  }

  /**
   * Measures a backend again, and checks the result.
   * @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async measure(name: string, backend: Backend): Promise<void> {
    if (backend.measure === undefined) return;
    await this.attempt(name, () => backend.measure?.());
    await this.check(name, backend);
  }

  /**
   * The error to report if a disk that can be written was not flushed or closed,
   * now or earlier.
   */
  get dataLoss(): NbdError | undefined {
    const { closeErrors } = this;
    if (closeErrors.length === 0) return undefined;
    const cause =
      closeErrors.length === 1
        ? closeErrors[0]
        : new AggregateError(closeErrors, 'several disks could not be flushed or closed');
    return new NbdError(
      'NBDCORK_DATA_LOST',
      `A disk could not be flushed or closed, and data that was written to it may be lost: ${messageOf(closeErrors[0])}`,
      cause,
    );
  }

  /** Flushes and closes the backends that clients share. Errors are logged, and in `dataLoss`. */
  async close(): Promise<void> {
    this.closed = true;
    const open = new Set([...this.kept, ...this.held.values()]);
    this.held.clear();
    // Independently: a backend that never opens must not delay flushing the others.
    const opening = [...this.opened.values()].map((backend) => this.closeWhenOpen(backend, open));
    await Promise.all([...[...open].map((backend) => this.closeOne(backend)), ...opening]);
  }

  /** Closes a backend that is not in `closed`. If opening fails, its client has been told. */
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
      this.logger.error({ err: error }, `cannot close backend: ${messageOf(error)}`);
      if (backend.write === undefined || this.closeErrors.length === closeErrorsMax) return;
      this.closeErrors.push(error);
    }
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
