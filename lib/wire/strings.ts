import { stringBytesMax } from './constants.js';

/** The maximum bytes of UTF-8 for a code unit of a JavaScript string. */
const unitBytesMax = 3;

const encoder = new TextEncoder();

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * As much of a message as fits into a string of the protocol, in whole characters,
 * with spaces in place of what it "MUST NOT contain" ("Conventions").
 */
export function shortened(message: string): string {
  const text = message.slice(0, stringBytesMax).replaceAll('\0', ' ');
  if (text.length * unitBytesMax <= stringBytesMax) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(stringBytesMax));
  return text.slice(0, read);
}
