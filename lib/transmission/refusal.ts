/**
 * Why a request is refused: the number that the section "Error values" names,
 * and the words that a client's people see. Callers: rules.ts chooses one,
 * receive.ts sends it. Cold: nothing is put into words before it is refused.
 */
import { Command, ErrorNumber } from '../wire/constants.js';
import { commandName, errorName } from '../wire/names.js';
import type { Request } from '../wire/request.js';

/** What requests are measured by. */
export interface Bounds {
  readonly size: number;
  readonly minimumBytes: number;
  readonly requestBytesMax: number;
  readonly contextCount: number;
  /** Those of the request's flags that its command may not have. */
  wrongFlags(request: Request): number;
}

export interface Refusal {
  readonly error: number;
  /** What is wrong, and what to do. */
  readonly words: (request: Request, bounds: Bounds) => string;
}

const { EPERM, EINVAL, ENOSPC, EOVERFLOW, ESHUTDOWN } = ErrorNumber;

const pastTheEnd: Refusal['words'] = (_, { size }) =>
  `it goes past the end of the disk of ${size} bytes`;

const tooLong: Refusal['words'] = (_, { requestBytesMax }) =>
  `it is longer than the maximum payload of ${requestBytesMax} bytes: ask for less at a time`;

export const refusals = {
  notOffered: { error: EINVAL, words: notOffered },
  readOnly: { error: EPERM, words: () => 'the export is read-only' },
  notResizable: {
    error: EPERM,
    words: () => 'the server does not allow clients to resize this export',
  },
  stopping: { error: ESHUTDOWN, words: () => 'the server is stopping: disconnect' },
  wrongFlags: {
    error: EINVAL,
    words: (request, bounds) =>
      `flag 0x${bounds.wrongFlags(request).toString(16)} was not offered for this command`,
  },
  flushOfSome: { error: EINVAL, words: () => 'its offset and its length must be 0' },
  emptyStatus: { error: EINVAL, words: () => 'its length must not be 0' },
  badFilterLength: {
    error: EINVAL,
    words: (_, { contextCount }) =>
      `its payload must be 8 bytes of length and 4 for each of 1 to ${contextCount} metadata contexts`,
  },
  badFilter: {
    error: EINVAL,
    words: () => 'its payload must name metadata contexts that were selected, each once',
  },
  pastTheEnd: { error: EINVAL, words: pastTheEnd },
  /** The same for what would take space, and for what was there before the disk shrank. */
  noSpace: { error: ENOSPC, words: pastTheEnd },
  notAligned: {
    error: EINVAL,
    words: (_, { minimumBytes }) =>
      `its offset and its length must be multiples of the minimum block size ${minimumBytes}`,
  },
  tooLong: { error: EINVAL, words: tooLong },
  tooLongForChunks: { error: EOVERFLOW, words: tooLong },
  resizeWithLength: { error: EINVAL, words: () => 'its length must be 0' },
  sizeNotAligned: {
    error: EINVAL,
    words: (_, { minimumBytes }) =>
      `the size must be a multiple of the minimum block size ${minimumBytes}`,
  },
  sizeTooLarge: { error: ENOSPC, words: () => 'a disk has less than 2^53 bytes' },
  shrinksUnderOthers: {
    error: EPERM,
    words: () => 'other clients use the disk, so it can only grow: try again when they have left',
  },
} as const satisfies Record<string, Refusal>;

function notOffered({ type }: Request): string {
  return type === Command.blockStatus
    ? 'no metadata context was selected: send NBD_OPT_SET_META_CONTEXT before NBD_OPT_GO'
    : 'the command was not offered for this export';
}

/** For people: which request it was, what is wrong with it, and what to do. */
export function textOf(refusal: Refusal, request: Request, bounds: Bounds): string {
  const { type, offset, length } = request;
  const range =
    type === Command.resize
      ? `to ${shown(offset)} bytes`
      : `of ${shown(length)} bytes at ${shown(offset)}`;
  const why = refusal.words(request, bounds);
  return `${errorName(refusal.error)}: ${commandName(type)} ${range}: ${why}.`;
}

/** A request's numbers are exact below 2^53; past it they would be shown as others. */
export function shown(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : '2^53 or more';
}
