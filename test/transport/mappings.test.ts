/** Pieces that are ranges of a mapped file, over every strategy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ftruncateSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import type { FileMapping } from '../../lib/native/addon.js';
import { attach } from '../../lib/transport/attach.js';
import { strategyNames } from '../../lib/transport/transport.js';
import { native, temporaryFile, withoutAddon } from '../native/support/native.js';
import { linkKinds } from './support/links.js';

const content = Buffer.alloc(2 ** 20);
for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);

function mapped(t: TestContext): { fd: number; mapping: FileMapping } {
  const { fd } = temporaryFile(t);
  writeSync(fd, content);
  const mapping = native().createMapping(fd, content.length);
  assert.ok(typeof mapping !== 'number');
  return { fd, mapping };
}

for (const kind of linkKinds) {
  describe(`over ${kind.name}`, { skip: withoutAddon || kind.skip }, () => {
    for (const strategy of strategyNames) {
      it(`${strategy} sends ranges of a mapping among other pieces`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { mapping } = mapped(t);
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        const expected: Buffer[] = [];
        for (const [start, length] of [
          [0, 4096],
          [4100, 10],
          [5, 500_001],
          [content.length - 1, 1],
          [12, 0],
        ] as const) {
          const at = transport.header(4);
          transport.headers.setUint32(at, length);
          transport.appendMapping(mapping, start, length);
          transport.append(content, start, 7 % (content.length - start));
          transport.endMessage();
          const header = Buffer.alloc(4);
          header.writeUInt32BE(length);
          expected.push(header, content.subarray(start, start + length));
          expected.push(content.subarray(start, start + (7 % (content.length - start))));
        }
        transport.end();
        const chunks: Buffer[] = [];
        receiver.on('data', (chunk: Buffer) => chunks.push(chunk));
        await once(receiver, 'end');
        assert.ok(Buffer.concat(chunks).equals(Buffer.concat(expected)));
      });

      it(`${strategy} closes the connection where the file has become shorter`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { fd, mapping } = mapped(t);
        sender.on('error', () => undefined); // 'close' follows
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        const closed = new Promise((resolve) => sender.once('close', resolve));
        ftruncateSync(fd, 4096);
        transport.header(4);
        transport.appendMapping(mapping, 0, 100_000);
        transport.endMessage();
        transport.flush();
        let received = Buffer.alloc(0);
        receiver.on('error', () => undefined);
        receiver.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
        await closed;
        assert.ok(received.length <= 4 + 4096);
        assert.ok(
          received.subarray(4).equals(content.subarray(0, Math.max(0, received.length - 4))),
        );
      });
    }
  });
}
