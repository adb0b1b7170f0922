import { NbdError } from '../errors.js';
import type { Bytes } from './backend.js';

/**
 * A request that failed half-way. Clients that agreed on structured replies or
 * extended headers learn where, and get what was read before.
 */
export class PartialError extends NbdError {
  /** The first byte of the disk that failed; all of the range before it is done. */
  readonly failedAt: number;
  /** Of a read: the bytes from the beginning of the range to before `failedAt`. */
  readonly data: Bytes | undefined;

  constructor(
    code: string,
    message: string,
    progress: { readonly failedAt: number; readonly data?: Bytes },
    cause?: unknown,
  ) {
    super(code, message, cause);
    this.failedAt = progress.failedAt;
    this.data = progress.data;
  }
}
