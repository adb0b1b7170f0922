/** Everything that a client may send: sessions, negotiations, noise; valid, mutated, spliced. */
import fc from 'fast-check';
import { goData, headerKinds, optionBytes, requestBytes } from '../../support/byte-client.js';
import { cmd, info, opt, u32 } from '../../support/numbers.js';
import { contextData } from '../../support/status.js';
import { profiles } from '../model/profiles.js';
import { mutate, mutations } from './mutations.js';
import { options } from './options.js';
import { bytesOf, requestDrafts } from './requests.js';

/** The messages of a stream before it is mutated. */
type Messages = readonly Buffer[];

const clientFlags = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(1, 3, 3) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2, 4, 0x80000000, 0xffffffff) },
);

/** Random bytes, with or without the client's flags before them. */
const noise: fc.Arbitrary<Messages> = fc
  .record({ flags: fc.boolean(), bytes: fc.uint8Array({ maxLength: 300 }) })
  .map(({ flags, bytes }) => [...(flags ? [u32(3)] : []), Buffer.from(bytes)]);

const negotiation: fc.Arbitrary<Messages> = fc
  .record({ flags: clientFlags, all: fc.array(options, { maxLength: 28, size: 'max' }) })
  .map(({ flags, all }) => [u32(flags), ...all]);

const contextNames = ['base:allocation', 'x-fuzz:narrow', 'x-fuzz:wide', 'x-fuzz:later'];

/** A normal handshake, and requests. */
const session: fc.Arbitrary<Messages> = fc
  .record({
    flags: fc.constantFrom(1, 3),
    headers: fc.constantFrom(...headerKinds),
    name: fc.constantFrom(...profiles.map(({ name }) => name)),
    contexts: fc.oneof(
      { weight: 1, arbitrary: fc.constant<string[]>([]) },
      { weight: 3, arbitrary: fc.subarray(contextNames, { maxLength: 3 }) },
    ),
    before: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(options, { maxLength: 3 }) },
    ),
    /** A second NBD_OPT_SET_META_CONTEXT, valid or not. */
    again: fc.oneof(
      { weight: 5, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom('', 'x-fuzz:', 'no colon', 'another export') },
    ),
    viaName: fc.integer({ min: 0, max: 5 }).map((value) => value === 5),
    requests: fc.array(requestDrafts, { maxLength: 40, size: 'max' }),
    disconnects: fc.boolean(),
  })
  .map(({ flags, headers, name, contexts, before, again, viaName, requests, disconnects }) => {
    const agreements = {
      simple: [],
      structured: [optionBytes(opt.structuredReply)],
      extended: [optionBytes(opt.extendedHeaders)],
    };
    const wide =
      headers === 'extended' ? contexts : contexts.filter((one) => !one.includes('wide'));
    const select = optionBytes(opt.setMetaContext, contextData(name, wide));
    const choose = viaName
      ? optionBytes(opt.exportName, Buffer.from(name))
      : optionBytes(opt.go, goData(name, [info.blockSize]));
    return [
      u32(flags),
      ...before,
      ...agreements[headers],
      ...(contexts.length > 0 ? [select] : []),
      ...(again === undefined ? [] : [selectAgain(name, again)]),
      choose,
      ...requests.map((draft, index) => bytesOf(draft, headers, index)),
      ...(disconnects ? [requestBytes(headers, { type: cmd.disc, cookie: 0xd15cn })] : []),
    ];
  });

function selectAgain(name: string, how: string): Buffer {
  const data =
    how === 'another export'
      ? contextData('memory', ['base:allocation'])
      : contextData(name, how === '' ? [] : [how]);
  return optionBytes(opt.setMetaContext, data);
}

const whole = fc.oneof(
  { weight: 12, arbitrary: session },
  { weight: 4, arbitrary: negotiation },
  { weight: 1, arbitrary: noise },
);

const mutated = fc
  .record({ messages: whole, all: fc.array(mutations, { minLength: 1, maxLength: 4 }) })
  .map(({ messages, all }) => mutate(messages, all));

/** The beginning of one stream and the end of another. */
const spliced = fc
  .record({ first: whole, second: whole, from: fc.nat(2 ** 16), to: fc.nat(2 ** 16) })
  .map(({ first, second, from, to }) => {
    const [head, tail] = [Buffer.concat(first), Buffer.concat(second)];
    return Buffer.concat([
      head.subarray(0, Math.floor((head.length * from) / 2 ** 16)),
      tail.subarray(Math.floor((tail.length * to) / 2 ** 16)),
    ]);
  });

export const streams: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 6, arbitrary: whole.map((messages) => Buffer.concat(messages)) },
  { weight: 4, arbitrary: mutated },
  { weight: 1, arbitrary: spliced },
);
