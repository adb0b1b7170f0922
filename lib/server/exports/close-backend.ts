import type { Backend } from '../../backend/backend.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Logger } from '../log/logger.js';

/** One is enough to know that data may be lost; the log has them all. */
const errorsMax = 16;

/** Closes backends, and remembers what may have lost data. */
export class BackendCloser {
  private readonly logger: Logger;
  /** Errors of disks that could not be flushed or closed: data may be lost. */
  private readonly errors: unknown[] = [];

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** Flushes and closes a backend. Never rejects: errors are logged, and in `dataLoss`. */
  async close(backend: Backend): Promise<void> {
    try {
      await flushAndClose(backend);
    } catch (error) {
      this.logger.error({ err: error }, `cannot close backend: ${messageOf(error)}`);
      if (backend.write === undefined || this.errors.length === errorsMax) return;
      this.errors.push(error);
    }
  }

  /**
   * The error to report if a disk that can be written was not flushed or closed,
   * now or earlier.
   */
  get dataLoss(): NbdError | undefined {
    const { errors } = this;
    if (errors.length === 0) return undefined;
    const cause =
      errors.length === 1
        ? errors[0]
        : new AggregateError(errors, 'several disks could not be flushed or closed');
    return new NbdError(
      'NBDCORK_DATA_LOST',
      `A disk could not be flushed or closed, and data that was written to it may be lost: ${messageOf(errors[0])}`,
      cause,
    );
  }
}

async function flushAndClose(backend: Backend): Promise<void> {
  try {
    if (backend.write !== undefined) await backend.flush?.();
  } catch (error) {
    // The error of flush matters more: data may be lost.
    await Promise.allSettled([release(backend)]);
    throw error;
  }
  await release(backend);
}

async function release(backend: Backend): Promise<void> {
  await backend.close?.();
}
