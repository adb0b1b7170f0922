/**
 * Whatever dies or waits, a block of 4096 bytes is old or new, never mixed. Each
 * WRITE has one value for all of its bytes, so that a mixed block shows.
 */
import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { MemoryBackend, openFile, type Backend } from '../../lib/index.js';
import type { ByteClient, Headers } from '../support/byte-client.js';
import { requestBytes } from '../support/byte-client.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { eventLoopTurn, startServer } from '../support/server.js';
import { createAuthority, issueCertificate, startTls } from '../support/tls.js';

const blockBytes = 4096;
const blockCount = 256;
const diskBytes = blockCount * blockBytes;
/** WRITEs begin and end at a block or here in a block, which has two parts then. */
const headBytes = 1000;
/** More than the kernel buffers for a client that does not read. */
const heldReads = 6;

const authority = await createAuthority();
const certificate = await issueCertificate(authority, 'localhost');

/** Parts are numbered: two of each block. */
interface Write {
  readonly firstPart: number;
  readonly partCount: number;
  /** Where the bytes are cut, as shares of all of them; a client that dies sends up to the last. */
  readonly cuts: readonly number[];
  readonly dies: boolean;
}

const anyWrite: fc.Arbitrary<Write> = fc.record({
  firstPart: fc.nat(2 * blockCount - 2),
  partCount: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 2 * blockCount })),
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 4 }),
  dies: fc.boolean(),
});

function startOf(part: number): number {
  return (part >> 1) * blockBytes + (part % 2) * headBytes;
}

function endPart({ firstPart, partCount }: Write): number {
  return Math.min(firstPart + partCount, 2 * blockCount);
}

/** The value of all bytes, or undefined where they differ. */
function onlyValue(bytes: Buffer): number | undefined {
  const [value] = bytes;
  return value !== undefined && bytes.equals(Buffer.alloc(bytes.length, value)) ? value : undefined;
}

/** The blocks that are not as one WRITE after another leaves them. Value 0 was there before. */
function mixedBlocks(disk: Buffer, writes: readonly Write[]): number[] {
  const covers = (value: number, part: number): boolean => {
    const write = writes[value - 1];
    return write === undefined || (write.firstPart <= part && part < endPart(write));
  };
  const isWhole = (block: number): boolean => {
    const start = block * blockBytes;
    const head = onlyValue(disk.subarray(start, start + headBytes));
    const tail = onlyValue(disk.subarray(start + headBytes, start + blockBytes));
    if (head === undefined || tail === undefined) return false;
    return head === tail || !covers(head, 2 * block + 1) || !covers(tail, 2 * block);
  };
  return Array.from({ length: blockCount }, (_, block) => block).filter((block) => !isWhole(block));
}

async function fileDisk(t: TestContext): Promise<Backend> {
  const path = join(await temporaryFolder(t), 'disk.img');
  await writeFile(path, '');
  await truncate(path, diskBytes);
  return openFile(path);
}

const disks: Record<string, (t: TestContext) => Promise<Backend> | Backend> = {
  'one chunk of memory': () => new MemoryBackend(diskBytes),
  'memory in chunks of 64 KiB': () => new MemoryBackend(diskBytes, { chunkBytes: 65_536 }),
  'a file': fileDisk,
};

async function sendInParts(client: ByteClient, write: Write, value: number): Promise<void> {
  const offset = startOf(write.firstPart);
  const payload = Buffer.alloc(startOf(endPart(write)) - offset, value);
  const request = client.expectReply({ type: cmd.write, offset, payload });
  const bytes = requestBytes(client.headers, request);
  const ends = write.cuts.map((share) => Math.floor(share * bytes.length)).sort((a, b) => a - b);
  let sent = 0;
  for (const end of write.dies ? ends : [...ends, bytes.length]) {
    await new Promise((resolve) => client.stream.write(bytes.subarray(sent, end), resolve));
    await eventLoopTurn();
    sent = end;
  }
  if (write.dies) client.stream.destroy();
  else assert.equal((await client.reply()).error, 0);
}

/** Ask for the whole disk several times, and do not read the replies yet. */
function askAndHold(client: ByteClient): void {
  client.stream.pause();
  for (let read = 0; read < heldReads; read++) {
    client.request({ type: cmd.read, offset: 0, length: diskBytes });
  }
}

for (const link of ['Unix', 'TCP', 'TLS'] as const) {
  for (const headers of ['structured', 'extended'] as const satisfies Headers[]) {
    describe(`over ${link}, with ${headers} headers`, () => {
      for (const [what, open] of Object.entries(disks)) {
        test(`no block of ${what} is ever mixed`, async (t) => {
          const disk = await open(t);
          const { connect } = await startServer(
            t,
            {
              exports: { '': disk },
              busyPollMicroseconds: 0,
              ...(link === 'TLS' && {
                tls: { certificate: certificate.cert, key: certificate.key },
              }),
            },
            link === 'Unix' ? 'Unix' : 'TCP',
          );
          const openClient = async (): Promise<ByteClient> => {
            const plain = await connect();
            await plain.greet();
            const client = link === 'TLS' ? await startTls(plain, { ca: authority.cert }) : plain;
            await client.negotiate(headers);
            return client;
          };
          const [owner, held] = [await openClient(), await openClient()];
          const property = fc.asyncProperty(
            fc.array(anyWrite, { minLength: 3, maxLength: 6 }),
            async (writes) => {
              await owner.call({ type: cmd.write, payload: Buffer.alloc(diskBytes) });
              const clients = await Promise.all(writes.map(openClient));
              askAndHold(held);
              const sending = writes.map((write, index) => {
                const client = clients[index];
                assert.ok(client !== undefined);
                return sendInParts(client, write, index + 1);
              });
              const during = await owner.call({ type: cmd.read, length: diskBytes });
              assert.deepEqual(mixedBlocks(during.data, writes), []);
              await Promise.all(sending);
              const after = await owner.call({ type: cmd.read, length: diskBytes });
              assert.deepEqual(mixedBlocks(after.data, writes), []);
              held.stream.resume();
              for (let read = 0; read < heldReads; read++) {
                const { data } = await held.reply();
                assert.deepEqual(mixedBlocks(data, writes), []);
              }
              for (const client of clients) client.stream.destroy();
            },
          );
          await fc.assert(property, { numRuns: 5, endOnFailure: true });
        });
      }
    });
  }
}
