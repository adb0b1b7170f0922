/**
 * The headers of replies, both ways. Hot: no BigInt, no allocation.
 * Spec: "Simple reply message", "Structured reply chunk message", "Extended
 * reply chunk message".
 */
import { magic } from './constants.js';
import type { Request } from './request.js';
import { readUint64 } from './uint64.js';

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

/**
 * The header of a reply as a client reads it. Reading overwrites the fields that
 * the header has and resets those that it lacks.
 */
export class ReplyHeader {
  /** Only in a simple reply: one of `ErrorNumber`. */
  error = 0;
  /** Not in a simple reply: those of `ChunkFlag`. */
  flags = 0;
  /** Not in a simple reply: one of `ChunkType`. */
  type = 0;
  cookieHigh = 0;
  cookieLow = 0;
  /** Only in an extended reply: that of the request. Exact up to 2^53 − 1. */
  offset = 0;
  /** Bytes of the chunk's payload; 0 in a simple reply, which does not say. Exact up to 2^53 − 1. */
  length = 0;

  /**
   * Bytes of the header that begins at `at`, by the four bytes of its magic: a
   * server may mix simple and structured replies. 0 where the magic is unknown.
   */
  static byteLength(view: DataView, at: number): number {
    switch (view.getUint32(at)) {
      case magic.simpleReply:
        return simpleReplyBytes;
      case magic.structuredReply:
        return structuredReplyBytes;
      case magic.extendedReply:
        return extendedReplyBytes;
      default:
        return 0;
    }
  }

  /** Reads the header at `at`, of any kind. False where the magic is unknown. */
  read(view: DataView, at: number): boolean {
    const bytes = ReplyHeader.byteLength(view, at);
    if (bytes === 0) return false;
    const simple = bytes === simpleReplyBytes;
    const extended = bytes === extendedReplyBytes;
    this.error = simple ? view.getUint32(at + 4) : 0;
    this.flags = simple ? 0 : view.getUint16(at + 4);
    this.type = simple ? 0 : view.getUint16(at + 6);
    this.cookieHigh = view.getInt32(at + 8);
    this.cookieLow = view.getInt32(at + 12);
    this.offset = extended ? readUint64(view, at + 16) : 0;
    if (simple) this.length = 0;
    else this.length = extended ? readUint64(view, at + 24) : view.getUint32(at + 16);
    return true;
  }
}
