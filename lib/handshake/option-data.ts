import { NbdError } from '../errors.js';

/** For options of which "the client MUST NOT send any additional data". */
export function expectNoData(data: Buffer): void {
  if (data.byteLength > 0) throw badOption('the option has no data.');
}

/** The number at `at`, where there is one. */
export function uint32At(data: Buffer, at: number): number {
  if (at + 4 > data.byteLength) throw badOption('the data end too early.');
  return data.readUInt32BE(at);
}

/** The number at `at`, where there is one. */
export function uint16At(data: Buffer, at: number): number {
  if (at + 2 > data.byteLength) throw badOption('the data end too early.');
  return data.readUInt16BE(at);
}

/** `length` bytes from `at` on, where there are as many. */
export function bytesAt(data: Buffer, at: number, length: number): Buffer {
  if (at + length > data.byteLength) throw badOption('the data end too early.');
  return data.subarray(at, at + length);
}

export function badOption(why: string): NbdError {
  return new NbdError('NBDCORK_BAD_OPTION', why);
}
