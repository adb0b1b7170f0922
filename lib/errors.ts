/** A thrown object may hold anything: enough of it for a line of a log. */
const jsonUnitsMax = 500;

/**
 * The one error class of nbdcork. `code` is stable and meant for programs;
 * `message` says what was wrong and what to do; `cause` is the error that caused it.
 *
 * A backend may throw it, or any error whose `code` is an errno name that the
 * protocol knows (`EPERM`, `EIO`, `ENOMEM`, `EINVAL`, `ENOSPC`, `EOVERFLOW`,
 * `ENOTSUP`, `ESHUTDOWN`): the client then gets that number. The RangeError of an
 * allocation that failed is ENOMEM. Everything else reaches the client as EIO.
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

/** True for the error of an `ArrayBuffer` that the machine has no memory for. */
export function isAllocationFailure(error: unknown): boolean {
  return error instanceof RangeError && /allocation failed/i.test(error.message);
}

/** The message of whatever was thrown: JavaScript can throw any value. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  if (typeof error === 'string') return error;
  try {
    return typeof error === 'object' && error !== null ? messageOfObject(error) : String(error);
  } catch {
    return 'unknown error';
  }
}

function messageOfObject(thrown: object): string {
  // Such as an error of another realm.
  if ('message' in thrown && typeof thrown.message === 'string') return thrown.message;
  const json = JSON.stringify(thrown);
  return json.length > jsonUnitsMax ? `${json.slice(0, jsonUnitsMax)}…` : json;
}
