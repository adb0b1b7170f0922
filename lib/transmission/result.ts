/**
 * What a backend returned or threw. It may be untyped JavaScript: an invalid
 * result fails one request and nothing else.
 */
import type { Bytes } from '../backend/backend.js';
import { codeOf, isAllocationFailure, NbdError } from '../errors.js';
import { ErrorNumber } from '../wire/constants.js';

/** What a backend returns, or the payloads of a BLOCK_STATUS reply. */
export type Result = Bytes | undefined | void; // eslint-disable-line @typescript-eslint/no-invalid-void-type -- what backends return

export function isBytesOfLength(result: unknown, length: number): result is Bytes {
  return byteLengthOf(result) === length;
}

/** Undefined for anything but `Bytes`. */
export function byteLengthOf(result: unknown): number | undefined {
  if (result instanceof Uint8Array) return result.byteLength;
  if (!Array.isArray(result)) return undefined;
  const pieces: readonly unknown[] = result;
  let sum = 0;
  for (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) return undefined;
    sum += piece.byteLength;
  }
  return sum;
}

/** `actual` is undefined for a result that is not `Bytes`. */
export function wrongLength(actual: number | undefined, expected: number): NbdError {
  const message =
    actual === undefined
      ? `Backend returned neither a Uint8Array nor an array of them for a read of ${expected} bytes.`
      : `Backend returned ${actual} bytes for a read of ${expected} bytes: read() must return all of them.`;
  return new NbdError('EIO', message);
}

/** For the `data` of a PartialError that does not match its `failedAt`. */
export function wrongPartialData(actual: number | undefined, expected: number): NbdError {
  const data = actual === undefined ? 'not a Uint8Array or an array of them' : `${actual} bytes`;
  return new NbdError(
    'EIO',
    `The data of a PartialError is ${data}, but ${expected} bytes precede failedAt: none of it is sent.`,
  );
}

const errorNumbers: ReadonlyMap<string, number> = new Map([
  // An error is never a success, even if its code says so.
  ...Object.entries(ErrorNumber).filter(([, value]) => value !== ErrorNumber.ok),
  // "It also SHOULD map the EDQUOT and EFBIG errors to NBD_ENOSPC."
  ['EDQUOT', ErrorNumber.ENOSPC],
  ['EFBIG', ErrorNumber.ENOSPC],
  ['EACCES', ErrorNumber.EPERM],
  ['EROFS', ErrorNumber.EPERM],
  ['EOPNOTSUPP', ErrorNumber.ENOTSUP],
]);

/**
 * The protocol's number for an error that a backend threw; EIO for unknown codes.
 * "The server SHOULD NOT return NBD_ENOTSUP except as documented in response to
 * NBD_CMD_WRITE_ZEROES when NBD_CMD_FLAG_FAST_ZERO is supported": without that
 * flag (`fast`) it is EINVAL.
 */
export function errorNumberOf(error: unknown, fast: boolean): number {
  const number = errorNumbers.get(codeOf(error) ?? '') ?? unknownError(error);
  return number === ErrorNumber.ENOTSUP && !fast ? ErrorNumber.EINVAL : number;
}

/** Whether the message has the path of a file, as those of Node's file functions: clients must not see it. */
export function namesFile(error: unknown): boolean {
  return error instanceof Error && 'path' in error;
}

function unknownError(error: unknown): number {
  return isAllocationFailure(error) ? ErrorNumber.ENOMEM : ErrorNumber.EIO;
}
