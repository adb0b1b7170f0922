import { NbdError } from '../errors.js';
import { stringBytesMax } from '../wire/constants.js';
import { encodeUtf8 } from '../wire/strings.js';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A string of the protocol, as the section "Conventions" defines it: UTF-8
 * without NUL, at most 4096 bytes. `what` names it in the error.
 * @throws NbdError `NBDCORK_BAD_STRING`.
 */
export function readString(bytes: Uint8Array, what = 'name'): string {
  if (bytes.byteLength > stringBytesMax) {
    throw badString(what, `is longer than ${stringBytesMax} bytes`);
  }
  if (bytes.includes(0)) throw badString(what, 'contains NUL');
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw badString(what, 'is not UTF-8', cause);
  }
}

/**
 * The same rules for strings that are sent to clients. `text` may come from a program
 * without types.
 * @throws NbdError `NBDCORK_BAD_STRING`.
 */
export function checkString(what: string, text: unknown): void {
  if (
    typeof text !== 'string' ||
    // Checked first: a character has at least one byte, and the text may be huge.
    text.length > stringBytesMax ||
    encodeUtf8(text).byteLength > stringBytesMax ||
    text.includes('\0') ||
    !text.isWellFormed()
  ) {
    throw new NbdError(
      'NBDCORK_BAD_STRING',
      `The ${what} must be a string without NUL of at most ${stringBytesMax} bytes in UTF-8.`,
    );
  }
}

function badString(what: string, why: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_STRING', `The ${what} ${why}.`, cause);
}
