/**
 * The reasons for refusing a request: the error number that the section "Error
 * values" names, and a message for people. Messages are composed only when a
 * request is refused.
 */
import { Command, ErrorNumber } from '../../wire/constants.js';
import { commandName, errorName } from '../../wire/names.js';
import type { Request } from '../../wire/request.js';

/** The values that requests are checked against, for messages. */
export interface Bounds {
  readonly size: number;
  readonly alignment: number;
  readonly requestBytesMax: number;
  readonly contextCount: number;
  /** The request's flags that its command may not carry. */
  invalidFlags(request: Request): number;
}

export interface Refusal {
  readonly error: number;
  /** What is wrong, and what to do. */
  readonly message: (request: Request, bounds: Bounds) => string;
}

const { EPERM, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ESHUTDOWN } = ErrorNumber;

const pastEnd: Refusal['message'] = (_, { size }) =>
  `the range exceeds the disk size of ${size} bytes`;

const tooLong: Refusal['message'] = (_, { requestBytesMax }) =>
  `the length exceeds the maximum payload of ${requestBytesMax} bytes: send smaller requests`;

export const refusals = {
  notOffered: { error: EINVAL, message: notOffered },
  readOnly: { error: EPERM, message: () => 'the export is read-only' },
  notResizable: {
    error: EPERM,
    message: () => 'the server does not allow clients to resize this export',
  },
  stopping: { error: ESHUTDOWN, message: () => 'the server is shutting down: disconnect' },
  invalidFlags: {
    error: EINVAL,
    message: (request, bounds) =>
      `flag 0x${bounds.invalidFlags(request).toString(16)} was not offered for this command`,
  },
  flushOfRange: { error: EINVAL, message: () => 'offset and length must be 0' },
  emptyStatus: { error: EINVAL, message: () => 'length must not be 0' },
  badContextListLength: {
    error: EINVAL,
    message: (_, { contextCount }) =>
      `the payload must be an 8-byte length and 4 bytes for each of 1 to ${contextCount} metadata contexts`,
  },
  badContextList: {
    error: EINVAL,
    message: () => 'the payload must list selected metadata contexts, each once',
  },
  pastEnd: { error: EINVAL, message: pastEnd },
  /** For requests that would need more space, or for a range that existed before the disk shrank. */
  noSpace: { error: ENOSPC, message: pastEnd },
  noMemory: {
    error: ENOMEM,
    message: () => 'the server has no memory for the payload: retry, or send smaller requests',
  },
  notAligned: {
    error: EINVAL,
    message: (_, { alignment }) =>
      `offset and length must be multiples of the minimum block size ${alignment}`,
  },
  tooLong: { error: EINVAL, message: tooLong },
  /** NBD_CMD_READ with structured replies or extended headers. */
  readTooLong: { error: EOVERFLOW, message: tooLong },
  resizeWithLength: { error: EINVAL, message: () => 'length must be 0' },
  sizeNotAligned: {
    error: EINVAL,
    message: (_, { alignment }) =>
      `the size must be a multiple of the minimum block size ${alignment}`,
  },
  sizeTooLarge: { error: ENOSPC, message: () => 'the size must be below 2^53 bytes' },
  shrinksUnderOthers: {
    error: EPERM,
    message: () =>
      'other clients use this export, so it can only grow: retry after they have disconnected',
  },
} as const satisfies Record<string, Refusal>;

function notOffered({ type }: Request): string {
  return type === Command.blockStatus
    ? 'no metadata context was selected: send NBD_OPT_SET_META_CONTEXT before NBD_OPT_GO'
    : 'the command was not offered for this export';
}

/** The text that the client gets: the request, what is wrong with it, and what to do. */
export function refusalText(refusal: Refusal, request: Request, bounds: Bounds): string {
  const { type, offset, length } = request;
  const range =
    type === Command.resize
      ? `to ${formatInteger(offset)} bytes`
      : `of ${formatInteger(length)} bytes at ${formatInteger(offset)}`;
  const reason = refusal.message(request, bounds);
  return `${errorName(refusal.error)}: ${commandName(type)} ${range}: ${reason}.`;
}

/** A request's numbers are exact below 2^53 only. */
export function formatInteger(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : '2^53 or more';
}
