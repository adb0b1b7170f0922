/**
 * The peer gets each block of a piece as it was at one moment, although the
 * memory changes while a part of it waits to be sent.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { allocatePages } from '../../lib/memory/pages.js';
import { attach } from '../../lib/transport/attach.js';
import { strategyNames } from '../../lib/transport/transport.js';
import { linkKinds } from './support/links.js';

const blockBytes = 4096;
const headerBytes = 16;
const blockCount = 256;

/** Blocks that do not consist of one value only. */
function mixedBlocks(received: Buffer): number[] {
  return Array.from({ length: blockCount }, (_, block) => block).filter((block) => {
    const start = headerBytes + block * blockBytes;
    const bytes = received.subarray(start, start + blockBytes);
    return bytes.some((byte) => byte !== bytes[0]);
  });
}

for (const kind of linkKinds) {
  describe(`over ${kind.name}`, { skip: kind.skip }, () => {
    for (const strategy of strategyNames) {
      it(`${strategy} sends whole blocks`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        const memory = allocatePages(blockCount * blockBytes, false);
        const chunks: Buffer[] = [];
        let value = 0;
        transport.header(headerBytes);
        transport.append(memory);
        transport.endMessage();
        transport.flush();
        let receivedBytes = 0;
        while (receivedBytes < headerBytes + memory.length) {
          // Whatever has not been sent by now is sent with other content.
          memory.fill(++value);
          const chunk: unknown = receiver.read(Math.min(5000, receiver.readableLength || 5000));
          if (chunk instanceof Buffer) {
            chunks.push(chunk);
            receivedBytes += chunk.length;
          } else {
            await once(receiver, 'readable');
          }
        }
        assert.deepEqual(mixedBlocks(Buffer.concat(chunks)), []);
      });
    }
  });
}
