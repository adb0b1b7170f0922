/** Pieces that are ranges of a mapped file, over every strategy. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ftruncateSync, writeSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import type { MappedMemory } from '../../lib/memory/mapped-memory.js';
import type { FileMapping } from '../../lib/native/addon.js';
import { attach } from '../../lib/transport/attach.js';
import { strategyNames, type Transport } from '../../lib/transport/transport.js';
import { native, temporaryFile, withoutAddon } from '../native/support/native.js';
import { linkKinds } from './support/links.js';

const content = Buffer.alloc(2 ** 20);
for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);

const stepBytes = 2 ** 18;
/** A block is sent as it was at one moment. */
const blockBytes = 4096;

/** A mapped file whose pages are evicted when a test says so. */
class TestMapping implements MappedMemory {
  readonly mapping: FileMapping;
  /** The steps of 256 KiB that are not resident. */
  readonly evicted = new Set<number>();
  readonly reads: { start: number; length: number }[] = [];
  /** What `read` has lent. */
  readonly lent = new Set<Uint8Array>();
  failure: Error | undefined;

  constructor(mapping: FileMapping) {
    this.mapping = mapping;
  }

  isResident(start: number, length: number): boolean {
    const last = Math.floor((start + length - 1) / stepBytes);
    for (let step = Math.floor(start / stepBytes); step <= last; step++) {
      if (this.evicted.has(step)) return false;
    }
    return true;
  }

  /** Bytes that are not those of the mapping. */
  async read(start: number, length: number): Promise<Uint8Array> {
    await new Promise(setImmediate);
    if (this.failure) throw this.failure;
    this.reads.push({ start, length });
    const bytes = inverted(content.subarray(start, start + length));
    this.lent.add(bytes);
    return bytes;
  }

  releaseRead(bytes: Uint8Array): void {
    assert.ok(this.lent.delete(bytes));
    bytes.fill(0);
  }
}

function inverted(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ~byte);
}

/** Sends the mapping until one whole message waits. Returns how many messages that are. */
function fill(transport: Transport, memory: MappedMemory, release: () => void): number {
  let messages = 0;
  for (let waits = false; !waits; messages++) {
    waits = transport.needsDrain;
    transport.appendMapping(memory, 0, content.length);
    transport.releaseWhenSent({ release });
    transport.endMessage();
    transport.flush();
  }
  return messages;
}

function mapped(t: TestContext): { fd: number; memory: TestMapping } {
  const { fd } = temporaryFile(t);
  writeSync(fd, content);
  const mapping = native().createMapping(fd, content.length);
  assert.ok(typeof mapping !== 'number');
  return { fd, memory: new TestMapping(mapping) };
}

for (const kind of linkKinds) {
  describe(`over ${kind.name}`, { skip: withoutAddon || kind.skip }, () => {
    for (const strategy of strategyNames) {
      it(`${strategy} sends ranges of a mapping among other pieces`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { memory } = mapped(t);
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
          transport.appendMapping(memory, start, length);
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
        const { fd, memory } = mapped(t);
        sender.on('error', () => undefined); // 'close' follows
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        const closed = new Promise((resolve) => sender.once('close', resolve));
        ftruncateSync(fd, 4096);
        transport.header(4);
        transport.appendMapping(memory, 0, 100_000);
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

      it(`${strategy} reads pages that have left the cache while they waited`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { memory } = mapped(t);
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        let released = 0;
        let messages = 0;
        // The last four, at least, wait.
        for (let waiting = 0; waiting < 5; messages++) {
          if (transport.needsDrain) waiting++;
          transport.headers.setUint32(transport.header(4), messages);
          transport.appendMapping(memory, 1, content.length - 1);
          transport.append(content, 0, 3);
          transport.releaseWhenSent({ release: () => released++ });
          transport.endMessage();
        }
        transport.flush();
        for (const step of [1, 3]) memory.evicted.add(step);
        transport.end();
        const chunks: Buffer[] = [];
        receiver.on('data', (chunk: Buffer) => chunks.push(chunk));
        await once(receiver, 'end');
        const received = Buffer.concat(chunks);
        let position = 0;
        for (let message = 0; message < messages; message++) {
          assert.equal(received.readUInt32BE(position), message);
          position += 4;
          for (let start = 1; start < content.length;) {
            const end = Math.min(content.length, start + blockBytes - (start % blockBytes));
            const bytes = received.subarray(position, position + end - start);
            const expected = content.subarray(start, end);
            const wasEvicted = memory.evicted.has(Math.floor(start / stepBytes));
            // What was sent before the eviction is the mapping's.
            const isMapped = bytes.equals(expected);
            assert.ok(isMapped || (wasEvicted && bytes.equals(inverted(expected))));
            position += bytes.length;
            start = end;
          }
          assert.ok(received.subarray(position, position + 3).equals(content.subarray(0, 3)));
          position += 3;
        }
        assert.equal(position, received.length);
        if (transport.sendsMappings) assert.ok(memory.reads.length >= 8);
        else assert.equal(memory.reads.length, 0);
        assert.equal(memory.lent.size, 0);
        assert.equal(released, messages);
      });

      it(`${strategy} closes the connection where evicted pages cannot be read`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { memory } = mapped(t);
        let failure: unknown;
        sender.on('error', (error) => (failure = error)); // 'close' follows
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        if (!transport.sendsMappings) return; // Everything was copied when it was appended.
        const closed = new Promise((resolve) => sender.once('close', resolve));
        let released = 0;
        const messages = fill(transport, memory, () => released++);
        memory.evicted.add(3);
        memory.failure = new Error('the disk is gone');
        receiver.on('error', () => undefined).resume();
        await closed;
        assert.equal(failure, memory.failure);
        assert.equal(released, messages);
        assert.equal(transport.queuedBytes, 0);
      });

      it(`${strategy} gives memory back that was read for a connection that is closed`, async (t) => {
        const { sender, receiver } = await kind.open(t);
        const { memory } = mapped(t);
        sender.on('error', () => undefined);
        receiver.on('error', () => undefined);
        const transport = attach(sender, { strategy, sendBufferBytes: 2 ** 16 });
        if (!transport.sendsMappings) return;
        const reading = new Promise<void>((resolve) => {
          memory.read = async (start, length) => {
            resolve();
            await once(sender, 'close');
            return TestMapping.prototype.read.call(memory, start, length);
          };
        });
        const givenBack = new Promise<void>((resolve) => {
          memory.releaseRead = (bytes) => {
            TestMapping.prototype.releaseRead.call(memory, bytes);
            resolve();
          };
        });
        let released = 0;
        const messages = fill(transport, memory, () => released++);
        memory.evicted.add(3);
        receiver.resume();
        await reading;
        assert.ok(released < messages);
        sender.destroy();
        await givenBack;
        assert.equal(memory.lent.size, 0);
        assert.equal(released, messages);
      });
    }
  });
}
