import { inspect } from 'node:util';

/**
 * The one error class of nbdcork. `code` is stable and meant for programs;
 * `message` says what was wrong and what to do; `cause` is what lay beneath.
 *
 * A backend may throw it, or any error whose `code` is an errno name that the
 * protocol knows (`EPERM`, `EIO`, `ENOMEM`, `EINVAL`, `ENOSPC`, `EOVERFLOW`,
 * `ENOTSUP`, `ESHUTDOWN`): the client then gets that number. Everything else
 * reaches the client as EIO.
 */
export class NbdError extends Error {
  /** Always `NbdError`. */
  override readonly name = 'NbdError';
  /** Identifies the error: `NBDCORK_` and more words, or an errno name. See docs/errors.md. */
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The `code` of whatever was thrown, where it has one. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The words of whatever was thrown, which may be anything. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : inspect(error);
}
