import { NbdError } from '../errors.js';
import type { Bytes } from './backend.js';

/**
 * An error of a request that was done in part. Clients that negotiated
 * structured replies or extended headers are told the offset of the failure,
 * and a read sends them the data before it.
 */
export class PartialError extends NbdError {
  /** Offset on the disk of the first byte that failed: the range is done up to it. */
  readonly failedAt: number;
  /** Of a read: the bytes from the beginning of the range up to `failedAt`. */
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
