/**
 * The greeting, and the headers of options and of option replies, both ways.
 * Spec: "Newstyle negotiation", "Option reply types".
 */
import { magic } from './constants.js';

export const greetingBytes = 18;
export const clientFlagsBytes = 4;
export const optionHeaderBytes = 16;
export const optionReplyHeaderBytes = 20;

/** Precedes the data of an option. */
export interface OptionHeader {
  readonly option: number;
  /** Bytes of data. */
  readonly length: number;
}

/** Precedes the data of a reply to an option. */
export interface OptionReplyHeader extends OptionHeader {
  /** One of `OptionReply` or `OptionError`. */
  readonly type: number;
}

/** What a server sends first. `flags`: those of `HandshakeFlag`. */
export function writeGreeting(view: DataView, at: number, flags: number): void {
  view.setUint32(at, magic.initHigh);
  view.setUint32(at + 4, magic.initLow);
  view.setUint32(at + 8, magic.optionHigh);
  view.setUint32(at + 12, magic.optionLow);
  view.setUint16(at + 16, flags);
}

/** The handshake flags, or undefined where it is not the greeting of a newstyle server. */
export function readGreeting(view: DataView, at: number): number | undefined {
  if (view.getUint32(at) !== magic.initHigh || view.getUint32(at + 4) !== magic.initLow) {
    return undefined;
  }
  return hasOptionMagic(view, at + 8) ? view.getUint16(at + 16) : undefined;
}

export function writeOptionHeader(view: DataView, at: number, header: OptionHeader): void {
  view.setUint32(at, magic.optionHigh);
  view.setUint32(at + 4, magic.optionLow);
  view.setUint32(at + 8, header.option);
  view.setUint32(at + 12, header.length);
}

/** Undefined where the magic is wrong. */
export function readOptionHeader(view: DataView, at: number): OptionHeader | undefined {
  if (!hasOptionMagic(view, at)) return undefined;
  return { option: view.getUint32(at + 8), length: view.getUint32(at + 12) };
}

export function writeOptionReplyHeader(
  view: DataView,
  at: number,
  header: OptionReplyHeader,
): void {
  view.setUint32(at, magic.optionReplyHigh);
  view.setUint32(at + 4, magic.optionReplyLow);
  view.setUint32(at + 8, header.option);
  view.setUint32(at + 12, header.type);
  view.setUint32(at + 16, header.length);
}

/** Undefined where the magic is wrong. */
export function readOptionReplyHeader(view: DataView, at: number): OptionReplyHeader | undefined {
  if (
    view.getUint32(at) !== magic.optionReplyHigh ||
    view.getUint32(at + 4) !== magic.optionReplyLow
  ) {
    return undefined;
  }
  return {
    option: view.getUint32(at + 8),
    type: view.getUint32(at + 12),
    length: view.getUint32(at + 16),
  };
}

function hasOptionMagic(view: DataView, at: number): boolean {
  return view.getUint32(at) === magic.optionHigh && view.getUint32(at + 4) === magic.optionLow;
}
