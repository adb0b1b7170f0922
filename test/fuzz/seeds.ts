/**
 * Cases that failed in the past, run with every run of the tests. A case is kept as
 * bytes, because a seed generates other cases when a generator changes.
 */
import { goData, optionBytes, requestBytes } from '../support/byte-client.js';
import { cmd, opt, u32 } from '../support/numbers.js';
import { wholeCut, type Delivery } from './delivery.js';
import type { Case } from './run-case.js';

/** Seeds whose cases every run of the tests includes. */
export const seeds: readonly number[] = [1, 2, 3];

const usual: Delivery = {
  connection: 'duplex',
  reading: 'at once',
  ending: 'answered',
  pace: 'at once',
  cut: wholeCut,
};

function regression(bytes: readonly Uint8Array[], delivery: Partial<Delivery> = {}): Case {
  return { bytes: Buffer.concat(bytes), delivery: { ...usual, ...delivery } };
}

/** Named after the fault. */
export const cases: Readonly<Record<string, Case>> = {
  'NBD_OPT_EXPORT_NAME with too much data was answered with an error': regression([
    u32(3),
    optionBytes(opt.exportName, Buffer.alloc(8193)),
  ]),
  'NBD_OPT_ABORT with too much data was answered with an error': regression([
    u32(3),
    optionBytes(opt.abort, Buffer.alloc(8193)),
  ]),
  'NBD_CMD_DISC was lost that arrived while the previous reply was being sent': regression(
    [
      u32(1),
      optionBytes(opt.go, goData('slow', [3])),
      requestBytes('simple', { type: cmd.flush, cookie: 1n, offset: 1 }),
      requestBytes('simple', { type: cmd.trim, cookie: 2n, offset: 148, length: 102 }),
      requestBytes('simple', { type: cmd.flush, flags: 1, cookie: 3n }),
      requestBytes('simple', { type: cmd.disc, cookie: 4n }),
    ],
    { pace: 'answers', cut: { size: 10 } },
  ),
  'a WRITE without NBD_CMD_FLAG_PAYLOAD_LEN was taken to have no payload': regression(
    [
      u32(1),
      optionBytes(opt.extendedHeaders),
      optionBytes(opt.go, goData('memory', [3])),
      requestBytes('extended', { type: cmd.write, flags: 2, cookie: 1n, length: 2 ** 24 }),
      requestBytes('extended', { type: cmd.disc, cookie: 2n }),
    ],
    { ending: 'end', cut: { size: 1 } },
  ),
  'a memory disk that had shrunk could not grow within its last chunk': regression([
    u32(1),
    optionBytes(opt.go, goData('resizable', [3])),
    requestBytes('simple', { type: 8, cookie: 1n, offset: 149_504 }),
    requestBytes('simple', { type: 8, cookie: 2n, offset: 149_999 }),
  ]),
};
