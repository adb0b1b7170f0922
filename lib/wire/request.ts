/**
 * The header of a request, both ways. Hot: no BigInt, no allocation.
 * Spec: "Request message", "Compact request message", "Extended request message".
 */
import { magic } from './constants.js';
import { readUint64, twoTo32, writeUint64 } from './uint64.js';

export const requestHeaderBytes = 28;
export const extendedRequestHeaderBytes = 32;

/** Reading overwrites the fields: `copyFrom` keeps a request that must outlive the next one. */
export class Request {
  flags = 0;
  type = 0;
  /** The cookie is opaque: the reply repeats its two halves. */
  cookieHigh = 0;
  cookieLow = 0;
  /** Bytes. Exact up to 2^53 − 1. Larger values are rounded, and stay larger. */
  offset = 0;
  /** Bytes of payload or effect; likewise. */
  length = 0;
  /** The halves of `offset` as they were read: an extended reply repeats them. */
  offsetHigh = 0;
  offsetLow = 0;

  /** False where the magic is wrong: the stream has lost its framing. */
  read(view: DataView, at: number): boolean {
    if (view.getUint32(at) !== magic.request) return false;
    this.readCommon(view, at);
    this.length = view.getUint32(at + 24);
    return true;
  }

  readExtended(view: DataView, at: number): boolean {
    if (view.getUint32(at) !== magic.extendedRequest) return false;
    this.readCommon(view, at);
    this.length = readUint64(view, at + 24);
    return true;
  }

  /** Writes `offset`, not its halves, and a `length` below 2^32. */
  write(view: DataView, at: number): void {
    this.writeCommon(view, at, magic.request);
    view.setUint32(at + 24, this.length);
  }

  /** Writes `offset`, not its halves. */
  writeExtended(view: DataView, at: number): void {
    this.writeCommon(view, at, magic.extendedRequest);
    writeUint64(view, at + 24, this.length);
  }

  copyFrom(other: Request): void {
    this.flags = other.flags;
    this.type = other.type;
    this.cookieHigh = other.cookieHigh;
    this.cookieLow = other.cookieLow;
    this.offset = other.offset;
    this.length = other.length;
    this.offsetHigh = other.offsetHigh;
    this.offsetLow = other.offsetLow;
  }

  private readCommon(view: DataView, at: number): void {
    this.flags = view.getUint16(at + 4);
    this.type = view.getUint16(at + 6);
    // Signed halves are small integers to V8, unsigned ones might be boxed.
    this.cookieHigh = view.getInt32(at + 8);
    this.cookieLow = view.getInt32(at + 12);
    this.offsetHigh = view.getInt32(at + 16);
    this.offsetLow = view.getInt32(at + 20);
    this.offset = (this.offsetHigh >>> 0) * twoTo32 + (this.offsetLow >>> 0);
  }

  private writeCommon(view: DataView, at: number, magicNumber: number): void {
    view.setUint32(at, magicNumber);
    view.setUint16(at + 4, this.flags);
    view.setUint16(at + 6, this.type);
    view.setInt32(at + 8, this.cookieHigh);
    view.setInt32(at + 12, this.cookieLow);
    writeUint64(view, at + 16, this.offset);
  }
}
