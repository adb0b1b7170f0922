import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NbdError } from '../../lib/errors.js';
import { ByteQueue } from '../../lib/handshake/byte-queue.js';

const left = new NbdError('NBDCORK_CLIENT_LEFT', 'The client left.');

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

describe('the byte queue of a handshake', () => {
  test('gives bytes in the requested lengths, however they were pushed', async () => {
    const queue = new ByteQueue(100, () => undefined);
    queue.push(Buffer.from('ab'));
    queue.push(Buffer.from('cdefg'));
    assert.equal(textOf(await queue.take(3)), 'abc');
    const later = queue.take(6);
    queue.push(Buffer.from('h'));
    queue.push(Buffer.from('ijk'));
    assert.equal(textOf(await later), 'defghi');
    assert.equal(textOf(queue.takeAll()), 'jk');
    assert.equal(textOf(queue.takeAll()), '');
  });

  test('copies no byte more than twice, in whatever sizes it is pushed and taken', async (t) => {
    for (const [chunkBytes, pieceBytes] of [
      [60_000, 10],
      [10, 60_000],
      [7, 13],
      [13, 7],
      [10, 10],
    ] as const) {
      const total = 60_000;
      const sent = Buffer.from(Array.from({ length: total }, (_, index) => index % 251));
      const queue = new ByteQueue(total, () => undefined);
      for (let at = 0; at < total; at += chunkBytes) queue.push(sent.subarray(at, at + chunkBytes));
      // Pushing has copied each byte once; this counts all later copies.
      const set = t.mock.method(Uint8Array.prototype, 'set');
      const taken: Uint8Array[] = [];
      for (let remaining = total; remaining > 0;) {
        const piece = await queue.take(Math.min(pieceBytes, remaining));
        remaining -= piece.length;
        taken.push(piece);
      }
      const copied = set.mock.calls.reduce((sum, call) => sum + call.arguments[0].length, 0);
      set.mock.restore();
      assert.ok(Buffer.concat(taken).equals(sent));
      assert.equal(copied > 0, chunkBytes < total, 'the mock sees the copies');
      assert.ok(copied <= total, `${copied} bytes were copied to take ${total}`);
      assert.ok(queue.empty);
    }
  });

  test('does not copy what was pushed in one chunk', async () => {
    const queue = new ByteQueue(100, () => undefined);
    queue.push(Buffer.from('first second'));
    const [first, second] = [await queue.take(6), await queue.take(3)];
    const rest = queue.takeAll();
    assert.equal(`${textOf(first)}|${textOf(second)}|${textOf(rest)}`, 'first |sec|ond');
    assert.equal(second.byteOffset, first.byteOffset + 6);
    assert.equal(rest.byteOffset, second.byteOffset + 3);
    assert.equal(rest.buffer, first.buffer);
  });

  test('gives no bytes at once', async () => {
    const queue = new ByteQueue(100, () => assert.fail('no bytes are needed'));
    assert.equal((await queue.take(0)).length, 0);
    queue.push(Buffer.from('a'));
    assert.equal((await queue.take(0)).length, 0);
    assert.equal(textOf(await queue.take(1)), 'a');
    assert.equal((await queue.take(0)).length, 0);
    assert.ok(queue.empty);
  });

  test('copies what is pushed', async () => {
    const queue = new ByteQueue(100, () => undefined);
    const bytes = Buffer.from('first');
    queue.push(bytes);
    bytes.fill(0);
    assert.equal(textOf(await queue.take(5)), 'first');
  });

  test('asks the reader to pause when it holds enough, and to resume when it needs more', async () => {
    let resumed = 0;
    const queue = new ByteQueue(4, () => resumed++);
    assert.equal(queue.push(Buffer.alloc(3)), true);
    assert.equal(queue.push(Buffer.alloc(1)), false);
    await queue.take(4);
    assert.equal(resumed, 0);
    const later = queue.take(10);
    assert.equal(resumed, 1);
    assert.equal(queue.push(Buffer.alloc(9)), true, 'it waits for more than the limit');
    assert.equal(queue.push(Buffer.alloc(1)), false);
    assert.equal((await later).length, 10);
  });

  test('skips bytes without holding them', async () => {
    const queue = new ByteQueue(4, () => undefined);
    const skipped = queue.skip(10_000);
    for (let count = 0; count < 2500; count++) {
      queue.push(Buffer.alloc(4));
      await Promise.resolve();
    }
    queue.push(Buffer.from('rest'));
    await skipped;
    assert.equal(textOf(await queue.take(4)), 'rest');
  });

  test('fails takes that wait when it is closed, but gives what it holds', async () => {
    const queue = new ByteQueue(100, () => undefined);
    const waiting = queue.take(3);
    queue.push(Buffer.from('ab'));
    queue.close(left);
    await assert.rejects(waiting, left);
    assert.equal(textOf(await queue.take(2)), 'ab');
    await assert.rejects(queue.take(1), left);
    await assert.rejects(queue.skip(1), left);
  });
});
