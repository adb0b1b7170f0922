/** Random requests, valid and invalid, and the replies to them for any split into packets. */
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { MemoryBackend } from '../../../lib/backend/memory/memory-backend.js';
import type { Backend } from '../../../lib/index.js';
import { requestBytes, type Headers, type RequestFields } from '../../support/byte-client.js';
import { BufferDisk, pattern } from '../../support/disks.js';
import { cmd, cmdFlag } from '../../support/numbers.js';
import {
  startServer,
  eventLoopTurn,
  type ConnectionKind,
  type TestServer,
} from '../../support/server.js';
import { contextListData } from '../../support/status.js';

export const diskBytes = 200_000;
/** Reads before it, writes after it: reading a range during a write is undefined. */
const boundary = 100_000;
const payloads = pattern(diskBytes, 77);

/** Disks with the same content that read and receive payloads in every way. */
export const diskKinds: Readonly<Record<string, () => Backend>> = {
  'a backend that keeps what it is given': () => new BufferDisk(pattern(diskBytes)),
  'a backend that consumes at once': () =>
    Object.assign(new BufferDisk(pattern(diskBytes)), { payloadLifetime: 'call' as const }),
  'memory in chunks of 4 KiB': () => filled(new MemoryBackend(diskBytes, { chunkBytes: 4096 })),
  'memory in one chunk': () => filled(new MemoryBackend(diskBytes)),
};

function filled(disk: MemoryBackend): MemoryBackend {
  disk.write(0, pattern(diskBytes));
  return disk;
}

/** A request of a sequence. */
export interface Step extends RequestFields {
  /** Of a BLOCK_STATUS: the contexts that it lists, with extended headers. */
  readonly listedIds?: readonly number[];
}

/** The last two read all that the others have written, and disconnect. */
export function sequenceBytes(
  headers: Headers,
  requests: readonly Step[],
  length = diskBytes,
): Buffer {
  // Some disks report holes, which DF hides.
  const flags = headers === 'simple' ? 0 : cmdFlag.df;
  const last = [{ type: cmd.read, flags, length }, { type: cmd.disc }];
  return Buffer.concat(
    [...requests, ...last].map((step, index) =>
      requestBytes(headers, { ...fieldsOf(step, headers), cookie: BigInt(index) }),
    ),
  );
}

function fieldsOf({ listedIds, ...fields }: Step, headers: Headers): RequestFields {
  if (listedIds === undefined || headers !== 'extended') return fields;
  const { type, flags = 0, offset = 0, length = 0 } = fields;
  const payload = contextListData(length, listedIds);
  return { type, flags: flags | cmdFlag.payloadLen, offset, payload };
}

/** The contexts to select, for clients whose headers allow it. */
function contextsOf(headers: Headers): string[] {
  return headers === 'simple' ? [] : ['base:allocation'];
}

/** All bytes that a server replies to `pieces`, each of which is sent as a packet. */
export async function answers(
  serving: TestServer,
  headers: Headers,
  pieces: readonly Uint8Array[],
): Promise<Buffer> {
  const client = await serving.connect();
  await client.open(headers, '', contextsOf(headers));
  for (const piece of pieces) {
    client.send(piece);
    await eventLoopTurn();
  }
  return client.closed;
}

/** The same with a new server, for requests that modify the backend. */
export async function answersOf(
  t: TestContext,
  kind: ConnectionKind,
  backend: Backend,
  headers: Headers,
  pieces: readonly Uint8Array[],
): Promise<Buffer> {
  const serving = await startServer(t, { exports: { '': backend } }, kind);
  const bytes = await answers(serving, headers, pieces);
  await serving.server.close();
  return bytes;
}

/** `bytes` split at the given positions, in any order. */
export function cut(bytes: Buffer, positions: readonly number[]): Buffer[] {
  const ends = [...new Set(positions.map((position) => position % bytes.length))].sort(
    (a, b) => a - b,
  );
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

const lengths = fc.oneof(
  { weight: 4, arbitrary: fc.nat(300) },
  { weight: 2, arbitrary: fc.nat(10_000) },
  { weight: 1, arbitrary: fc.nat(60_000) },
);
const flags = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(cmdFlag.fua, cmdFlag.noHole, cmdFlag.df, 0x8000) },
);

const readOffsets = fc.oneof(
  { weight: 8, arbitrary: fc.nat(boundary - 60_000) },
  { weight: 1, arbitrary: fc.constantFrom(0, 4095, 4096, diskBytes, 2 ** 40) },
);
const writeOffsets = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: boundary, max: diskBytes }) },
  { weight: 1, arbitrary: fc.constantFrom(131_071, 131_072, 2 ** 40) },
);

const write = fc.record({ offset: writeOffsets, length: lengths }).map(({ offset, length }) => ({
  type: cmd.write,
  offset,
  payload: payloads.subarray(0, length),
}));

const changing = fc.record({
  type: fc.constantFrom(cmd.trim, cmd.writeZeroes),
  offset: writeOffsets,
  length: lengths,
  flags,
});

const notChanging = fc.record({
  type: fc.constantFrom(cmd.read, cmd.read, cmd.flush, cmd.cache, 99),
  offset: readOffsets,
  length: lengths,
  flags,
});

/** The only context, none, the same twice, an unknown one. */
const contextLists = fc.constantFrom([1], [1], [], [1, 1], [2]);
const status = fc
  .record({
    offset: readOffsets,
    length: lengths,
    flags: fc.constantFrom(0, cmdFlag.reqOne, cmdFlag.df),
    listedIds: fc.option(contextLists, { nil: undefined }),
  })
  .map(({ listedIds, ...fields }): Step => {
    const step = { type: cmd.blockStatus, ...fields };
    return listedIds === undefined ? step : { ...step, listedIds };
  });

export const requestLists: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(write, changing, notChanging, status),
  { minLength: 1, maxLength: 25 },
);
