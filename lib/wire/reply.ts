/**
 * The headers of replies, written into a view that the caller has made room
 * in. Caller: transmission/reply.ts. Hot: no BigInt, no allocation.
 * Spec: "Simple reply message", "Structured reply chunk message", "Extended
 * reply chunk message".
 */
import { magic } from './constants.js';
import type { Request } from './request.js';

export const simpleReplyBytes = 16;
export const structuredReplyBytes = 20;
export const extendedReplyBytes = 32;

export function writeSimpleReply(
  view: DataView,
  at: number,
  request: Request,
  error: number,
): void {
  view.setInt32(at, magic.simpleReply);
  view.setInt32(at + 4, error);
  view.setInt32(at + 8, request.cookieHigh);
  view.setInt32(at + 12, request.cookieLow);
}

/** `length` is that of the chunk's payload, below 2^32. */
export function writeStructuredReply(
  view: DataView,
  at: number,
  request: Request,
  flags: number,
  type: number,
  length: number,
): void {
  view.setInt32(at, magic.structuredReply);
  view.setInt16(at + 4, flags);
  view.setInt16(at + 6, type);
  view.setInt32(at + 8, request.cookieHigh);
  view.setInt32(at + 12, request.cookieLow);
  view.setUint32(at + 16, length);
}

/** `length` is that of the chunk's payload, below 2^32. */
export function writeExtendedReply(
  view: DataView,
  at: number,
  request: Request,
  flags: number,
  type: number,
  length: number,
): void {
  view.setInt32(at, magic.extendedReply);
  view.setInt16(at + 4, flags);
  view.setInt16(at + 6, type);
  view.setInt32(at + 8, request.cookieHigh);
  view.setInt32(at + 12, request.cookieLow);
  view.setInt32(at + 16, request.offsetHigh);
  view.setInt32(at + 20, request.offsetLow);
  view.setInt32(at + 24, 0);
  view.setUint32(at + 28, length);
}
