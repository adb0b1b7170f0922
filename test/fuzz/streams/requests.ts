/** Requests of every command and flag, inside and outside the disk, with any headers. */
import fc from 'fast-check';
import { requestBytes, type Headers } from '../../support/byte-client.js';
import { pattern } from '../../support/disks.js';
import { cmd, cmdFlag } from '../../support/numbers.js';
import { contextListData } from '../../support/status.js';
import { profiles, resizeCommand } from '../model/profiles.js';

const sizes = profiles.map(({ base }) => base.length);
const payloads = pattern(70_000, 99);

/** Boundaries: of disks, chunks, holes, and numbers of 32, 53 and 64 bits. */
const edges = [
  ...sizes.map(BigInt),
  ...[0n, 512n, 4096n, 65_536n, 131_072n],
  ...[2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n],
];
const nearby = fc
  .record({ edge: fc.constantFrom(...edges), by: fc.integer({ min: -600, max: 600 }) })
  .map(({ edge, by }) => BigInt.asUintN(64, edge + BigInt(by)));
const aligned = fc.nat(400).map((block) => BigInt(block) * 512n);
const inside = fc.nat(140_000).map(BigInt);
const offsets = fc.oneof(
  { weight: 5, arbitrary: inside },
  { weight: 4, arbitrary: aligned },
  { weight: 2, arbitrary: nearby },
);
const smallLengths = fc.nat(700).map(BigInt);
const alignedLengths = fc.nat(80).map((block) => BigInt(block) * 512n);
const lengths = fc.oneof(
  { weight: 4, arbitrary: smallLengths },
  { weight: 4, arbitrary: alignedLengths },
  { weight: 2, arbitrary: fc.nat(70_000).map(BigInt) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(65_536n, 65_537n, 2n ** 25n, 2n ** 25n + 1n, 2n ** 32n - 1n),
  },
  { weight: 1, arbitrary: nearby },
);
const payloadLengths = fc.oneof(
  { weight: 6, arbitrary: fc.nat(700) },
  { weight: 3, arbitrary: fc.nat(12).map((block) => block * 512) },
  { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 70_000 }) },
);

/** Flags that a command may have, in an export that advertises everything. */
const rightFlags: Readonly<Record<number, readonly number[]>> = {
  [cmd.read]: [cmdFlag.df, cmdFlag.fua],
  [cmd.write]: [cmdFlag.fua],
  [cmd.flush]: [cmdFlag.fua],
  [cmd.trim]: [cmdFlag.fua],
  [cmd.cache]: [cmdFlag.fua],
  [cmd.writeZeroes]: [cmdFlag.noHole, cmdFlag.fastZero, cmdFlag.fua | cmdFlag.noHole],
  [cmd.blockStatus]: [cmdFlag.reqOne, cmdFlag.reqOne, cmdFlag.fua],
};
const knownFlags = fc.subarray(Object.values(cmdFlag), { maxLength: 2 });
const flags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: knownFlags.map((all) => all.reduce((sum, flag) => sum | flag, 0)) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
);

/** Mostly known contexts; sometimes repeated or unknown ones. */
const contextLists = fc.oneof(
  { weight: 3, arbitrary: fc.subarray([1, 2, 3]) },
  { weight: 1, arbitrary: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(5), { maxLength: 4 }) },
);

/** A request before its kind of headers is chosen. */
export interface RequestDraft {
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  readonly length: bigint;
  readonly payloadLength: number;
  readonly listedIds: readonly number[];
}

const types = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(cmd.read, cmd.write) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(cmd.flush, cmd.trim, cmd.cache, cmd.writeZeroes, cmd.blockStatus),
  },
  { weight: 1, arbitrary: fc.constant(resizeCommand) },
  { weight: 1, arbitrary: fc.oneof(fc.integer({ min: 9, max: 20 }), fc.nat(0xffff)) },
);

export const requestDrafts: fc.Arbitrary<RequestDraft> = fc
  .record({
    type: types,
    flags,
    offset: offsets,
    length: lengths,
    payloadLength: payloadLengths,
    listedIds: contextLists,
    plain: fc.boolean(),
    /** Index of a valid flag, instead of `flags`; and whole blocks of 512 bytes. */
    right: fc.option(fc.nat(2), { nil: undefined, freq: 2 }),
    blocks: fc.boolean(),
  })
  .map(({ plain, right, blocks, ...random }) => {
    const draft = { ...random };
    const { type } = draft;
    if (right !== undefined) draft.flags = rightFlags[type]?.[right] ?? draft.flags;
    if (blocks) {
      draft.offset -= draft.offset % 512n;
      draft.length -= draft.length % 512n;
    }
    const { offset } = draft;
    if (type === cmd.flush && plain) return { ...draft, offset: 0n, length: 0n };
    // Mostly small sizes.
    if (type === resizeCommand && plain) return { ...draft, offset: offset % 300_000n, length: 0n };
    return draft;
  });

/** The bytes of a request, with a cookie of its own. */
export function bytesOf(draft: RequestDraft, headers: Headers, index: number): Buffer {
  const { type, offset, length, payloadLength, listedIds } = draft;
  const cookie = 0xfeed_0000_0000_0000n + BigInt(index) * 0x1_0001n;
  const extended = headers === 'extended';
  if (type === cmd.write) {
    const payload = payloads.subarray(index, index + payloadLength);
    // Sometimes without NBD_CMD_FLAG_PAYLOAD_LEN, as QEMU sends it.
    const without = extended && (draft.flags & cmdFlag.noHole) !== 0;
    const more = extended ? cmdFlag.payloadLen : 0;
    const flags = without ? draft.flags & ~cmdFlag.noHole : draft.flags | more;
    return requestBytes(headers, { type, flags, cookie, offset, payload });
  }
  if (extended && type === cmd.blockStatus && listedIds.length > 0) {
    const payload = contextListData(length, listedIds);
    const withList = draft.flags | cmdFlag.payloadLen;
    return requestBytes(headers, { type, flags: withList, cookie, offset, payload });
  }
  if (extended && (draft.flags & cmdFlag.payloadLen) !== 0) {
    const payload = payloads.subarray(0, payloadLength);
    return requestBytes(headers, { type, flags: draft.flags, cookie, offset, payload });
  }
  const wireLength = extended ? length : BigInt.asUintN(32, length);
  return requestBytes(headers, { type, flags: draft.flags, cookie, offset, length: wireLength });
}
