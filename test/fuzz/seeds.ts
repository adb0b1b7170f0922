/**
 * What once failed, and is tried in every run of the tests. A case is kept by its
 * bytes: a seed means something else when a generator changes.
 */
import { optionBytes } from '../support/byte-client.js';
import { opt, u32 } from '../support/numbers.js';
import { wholeCut, type Delivery } from './delivery.js';
import type { Case } from './run-case.js';

/** Seeds whose cases are tried in every run. */
export const seeds: readonly number[] = [1, 2, 3];

const usual: Delivery = {
  place: 'duplex',
  reading: 'at once',
  ending: 'answered',
  paced: false,
  cut: wholeCut,
};

function kept(bytes: readonly Uint8Array[], delivery: Partial<Delivery> = {}): Case {
  return { bytes: Buffer.concat(bytes), delivery: { ...usual, ...delivery } };
}

/** By what was wrong. */
export const cases: Readonly<Record<string, Case>> = {
  'NBD_OPT_EXPORT_NAME with too much data was answered with an error': kept([
    u32(3),
    optionBytes(opt.exportName, Buffer.alloc(8193)),
  ]),
  'NBD_OPT_ABORT with too much data was answered with an error': kept([
    u32(3),
    optionBytes(opt.abort, Buffer.alloc(8193)),
  ]),
};
