/**
 * What a backend answered: it may be JavaScript that never saw a type, and a
 * wrong answer fails one request only. Caller: dispatch.ts.
 */
import type { Bytes } from '../backend/backend.js';
import { NbdError } from '../errors.js';

export type Answer = Bytes | undefined | void; // eslint-disable-line @typescript-eslint/no-invalid-void-type -- what backends return

export function isBytesOf(answer: unknown, length: number): answer is Bytes {
  return bytesIn(answer) === length;
}

/** Undefined for what is not `Bytes`. */
export function bytesIn(answer: unknown): number | undefined {
  if (answer instanceof Uint8Array) return answer.byteLength;
  if (!Array.isArray(answer)) return undefined;
  const pieces: readonly unknown[] = answer;
  let sum = 0;
  for (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) return undefined;
    sum += piece.byteLength;
  }
  return sum;
}

/** `got` is undefined for what is no bytes at all. */
export function wrongLength(got: number | undefined, length: number): NbdError {
  const answer = got === undefined ? 'something that is no bytes' : `${got}`;
  const why =
    got === undefined
      ? 'Its read() must return a Uint8Array, or an array of them that holds no other arrays.'
      : 'Its read() must return all of them.';
  return new NbdError(
    'EIO',
    `The backend answered a read of ${length} bytes with ${answer}. ${why}`,
  );
}

/** The `data` of a PartialError that is none of its request. */
export function wrongData(got: number | undefined, length: number): NbdError {
  const data = got === undefined ? 'something that is no bytes' : `${got} bytes`;
  return new NbdError(
    'EIO',
    `The data of a PartialError is ${data}, where ${length} were read before failedAt: none of it is sent.`,
  );
}
