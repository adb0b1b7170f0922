/**
 * The headers of replies, written into a view that the caller has made room
 * in. Caller: transmission/reply.ts. Hot: no BigInt, no allocation.
 * Spec: "Simple reply message", "Structured reply chunk message", "Extended
 * reply chunk message".
 */
import { magic } from './constants.js';
import type { Request } from './request.js';

/** Which headers a connection speaks, as negotiated in the handshake. */
export const HeaderKind = { simple: 0, structured: 1, extended: 2 } as const;
export type HeaderKind = (typeof HeaderKind)[keyof typeof HeaderKind];

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

/** An unsigned 64-bit number; `value` is an integer of at most 2^53 − 1. */
export function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 4, value % 2 ** 32);
}

/** An unsigned 64-bit number: exact up to 2^53 − 1; past that only known to be larger. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
