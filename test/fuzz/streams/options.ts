/** Options: known ones with valid and invalid data, and unknown ones. */
import fc from 'fast-check';
import { goData, optionBytes } from '../../support/byte-client.js';
import { opt, u32 } from '../../support/numbers.js';
import { contextData } from '../../support/status.js';
import { deniedName, profiles, unavailableName } from '../model/profiles.js';

const knownNames = [...profiles.map(({ name }) => name), ''];

/** Names of no export, and invalid strings. */
const strangeNames: readonly (string | Uint8Array)[] = [
  unavailableName,
  deniedName,
  'nobody',
  'memory ',
  'ünïcode',
  '\uFEFFmemory',
  'x'.repeat(4096),
  'x'.repeat(4097),
  'mem\0ory',
  Buffer.from([0xff, 0xfe, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
];

const exportNames: fc.Arbitrary<string | Uint8Array> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...knownNames) },
  { weight: 1, arbitrary: fc.constantFrom(...strangeNames) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }) },
);

const queries = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'base:allocation',
      'x-fuzz:narrow',
      'x-fuzz:wide',
      'x-fuzz:later',
      'base:',
      'x-fuzz:',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<string | Uint8Array>(
      'base:nothing',
      'nobody:allocation',
      'base',
      ':allocation',
      '',
      ':',
      'base:allocation\0',
      `base:${'x'.repeat(4095)}`,
      Buffer.from([0x62, 0x3a, 0xff]),
    ),
  },
);
const information = fc.array(
  fc.oneof(fc.constantFrom(0, 1, 2, 3), fc.integer({ min: 0, max: 0xffff })),
  { maxLength: 5 },
);

const optionTypes = fc.constantFrom(opt.info, opt.info, opt.go);
const contextual = fc.constantFrom(opt.listMetaContext, opt.setMetaContext);
const empty = fc.constantFrom(
  opt.list,
  opt.startTls,
  opt.structuredReply,
  opt.extendedHeaders,
  opt.abort,
);

const go = fc
  .record({ type: optionTypes, name: exportNames, information })
  .map(({ type, name, information: wanted }) => ({ type, data: goData(name, wanted) }));
const context = fc
  .record({ type: contextual, name: exportNames, strings: fc.array(queries, { maxLength: 5 }) })
  .map(({ type, name, strings }) => ({ type, data: contextData(text(name), strings) }));
const manyQueries = contextual.map((type) => ({
  type,
  data: contextData('memory', Array<string>(1100).fill('x:')),
}));
const exportName = exportNames.map((name) => ({ type: opt.exportName, data: Buffer.from(name) }));
const bare = empty.map((type) => ({ type, data: Buffer.alloc(0) }));
const junk = fc
  .record({
    type: fc.oneof(fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 0xffffffff })),
    data: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ type, data }) => ({ type, data: Buffer.from(data) }));
const tooLong = fc
  .record({ type: fc.integer({ min: 0, max: 12 }), length: fc.constantFrom(8192, 8193, 20_000) })
  .map(({ type, length }) => ({ type, data: Buffer.alloc(length) }));

interface OptionDraft {
  readonly type: number;
  readonly data: Buffer;
}

/** Data that are truncated, too long, or contain another number. */
const malformed = fc
  .record({
    draft: fc.oneof(go, context),
    how: fc.constantFrom('cut', 'longer', 'number'),
    at: fc.nat(60),
    value: fc.constantFrom(0, 1, 4097, 0x7fffffff, 0x80000000, 0xffffffff),
  })
  .map(({ draft: { type, data }, how, at, value }): OptionDraft => {
    if (how === 'cut') return { type, data: data.subarray(0, at % (data.length + 1)) };
    if (how === 'longer') return { type, data: Buffer.concat([data, Buffer.alloc(1 + (at % 3))]) };
    const start = data.length < 4 ? 0 : at % (data.length - 3);
    return {
      type,
      data: Buffer.concat([data.subarray(0, start), u32(value), data.subarray(start + 4)]),
    };
  });

/** Options in wire format, one a message. */
export const options: fc.Arbitrary<Buffer> = fc
  .oneof(
    { weight: 5, arbitrary: go },
    { weight: 5, arbitrary: context },
    { weight: 5, arbitrary: bare },
    { weight: 3, arbitrary: malformed },
    { weight: 2, arbitrary: junk },
    { weight: 1, arbitrary: exportName },
    { weight: 1, arbitrary: fc.oneof(tooLong, manyQueries) },
  )
  .map(({ type, data }) => optionBytes(type, data));

function text(name: string | Uint8Array): string {
  return typeof name === 'string' ? name : Buffer.from(name).toString('latin1');
}
