import type { Backend, MaybePromise } from '../../backend/backend.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import { quoted } from '../../quoted.js';
import { checkBackend, isObject } from './check-export.js';
import { closeBackend } from './close-backend.js';
import type { Logger, OpenBackend } from '../options.js';

/**
 * The backends of a server: opened, measured, and closed with it. It keeps those
 * that clients share; those of one connection are its own, see
 * `connection-exports.ts`.
 */
export class Backends {
  /** What was opened or found with its first client, by the name of the export. */
  private readonly opened = new Map<string, Promise<Backend>>();
  /** What was found for clients that have to start TLS first: nobody has them yet. */
  private readonly held = new Map<string, Backend>();
  /** Backends that were given ready, or are open by now. */
  private readonly kept: Set<Backend>;
  private readonly openExportsMax: number;
  private readonly logger: Logger;
  private closed = false;

  constructor(ready: Iterable<Backend>, openExportsMax: number, logger: Logger) {
    this.kept = new Set(ready);
    this.openExportsMax = openExportsMax;
    this.logger = logger;
  }

  /**
   * The backend that all clients of an export share, opened with the first.
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
      // Whoever asks for a name has the disk that was found first, and any other nobody has.
      for (const one of new Set([first, backend])) await this.discard(one);
    }
  }

  /**
   * A finder has opened a backend for a client that may not have it before TLS: the
   * next one has it. Such clients choose any number of names, so the oldest of those
   * that nobody came for are closed, and take no room from others.
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

  /** Closes what nobody can have, unless somebody has it already. */
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
    const open = new Set([...this.kept, ...this.held.values()]);
    this.held.clear();
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
      this.logger.error({ err: error }, `closing a backend failed: ${messageOf(error)}`);
    }
  }

  /** @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE` for whatever `work` throws. */
  async attempt<T>(name: string, work: () => MaybePromise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.unavailable(name, error);
    }
  }

  /** @throws NbdError `NBDCORK_EXPORT_UNAVAILABLE` for whatever is wrong with it. */
  private check(name: string, backend: Backend): Promise<Backend> {
    return this.attempt(name, () => {
      checkBackend(name, backend);
      return backend;
    });
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
    const { openExportsMax } = this;
    if (this.opened.size < openExportsMax) return;
    throw this.unavailable(name, new Error(`${openExportsMax} exports are open, the limit`));
  }

  /** The client learns that it failed, the log why. */
  private unavailable(name: string, cause: unknown): NbdError {
    this.logger.error(
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
