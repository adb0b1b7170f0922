import { stringBytesMax } from './constants.js';

/** Bytes of UTF-8 that a unit of a JavaScript string takes at most. */
const unitBytesMax = 3;

const encoder = new TextEncoder();

/**
 * As much of a text for people as a string of the protocol has room for, in
 * whole characters, with spaces for what it "MUST NOT contain" ("Conventions").
 */
export function shortened(words: string): string {
  const text = words.slice(0, stringBytesMax).replaceAll('\0', ' ');
  if (text.length * unitBytesMax <= stringBytesMax) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(stringBytesMax));
  return text.slice(0, read);
}
