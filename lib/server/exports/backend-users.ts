import type { Backend } from '../../backend/backend.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../log/logger.js';
import type { BackendCloser } from './close-backend.js';

interface Users {
  readonly count: number;
  /** Whether the backend can be opened again. */
  readonly reopens: boolean;
}

/** Counts the clients of shared backends, and closes those that have failed. */
export class BackendUsers {
  private readonly closer: BackendCloser;
  private readonly logger: Logger;
  private readonly users = new Map<Backend, Users>();
  /** Backends that have failed, and when they are closed. */
  private readonly retired = new WeakMap<Backend, Promise<void>>();
  private readonly closing = new Set<Promise<void>>();

  constructor(closer: BackendCloser, logger: Logger) {
    this.closer = closer;
    this.logger = logger;
  }

  count(backend: Backend): number {
    return this.users.get(backend)?.count ?? 0;
  }

  add(backend: Backend, reopens: boolean): void {
    this.users.set(backend, { count: this.count(backend) + 1, reopens });
  }

  /** True where it was the last client of a backend that has failed, and can be opened again. */
  remove(backend: Backend): boolean {
    const { count = 1, reopens = false } = this.users.get(backend) ?? {};
    if (count > 1) {
      this.users.set(backend, { count: count - 1, reopens });
      return false;
    }
    this.users.delete(backend);
    return reopens && this.hasFailed(backend);
  }

  hasFailed(backend: Backend): boolean {
    try {
      return backend.mustReopen === true;
    } catch (error) {
      this.logger.error({ err: error }, `cannot tell whether the disk works: ${messageOf(error)}`);
      return false;
    }
  }

  /** Closes a backend that has failed and has no clients. */
  retire(name: string, backend: Backend): void {
    this.logger.warn(
      { export: name },
      'closing the disk, which has failed: the next client opens it again',
    );
    const closed = this.closer.close(backend).then(() => {
      this.closing.delete(closed);
    });
    this.closing.add(closed);
    this.retired.set(backend, closed);
  }

  isRetired(backend: Backend): boolean {
    return this.retired.has(backend);
  }

  /** Settles when a backend that was retired is closed. */
  async retirement(backend: Backend): Promise<void> {
    await this.retired.get(backend);
  }

  /** Settles when all backends that were retired are closed. */
  async retirements(): Promise<void> {
    await Promise.all(this.closing);
  }
}
