import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NbdError } from '../../lib/errors.js';
import { Channel } from '../../lib/handshake/channel.js';

const left = new NbdError('NBDCORK_CLIENT_LEFT', 'The client left.');

describe('the channel of a handshake', () => {
  test('gives bytes in the lengths that are asked for, however they came', async () => {
    const channel = new Channel(100, () => undefined);
    channel.push(Buffer.from('ab'));
    channel.push(Buffer.from('cdefg'));
    assert.equal(String(await channel.take(3)), 'abc');
    const later = channel.take(6);
    channel.push(Buffer.from('h'));
    channel.push(Buffer.from('ijk'));
    assert.equal(String(await later), 'defghi');
    assert.equal(String(channel.rest()), 'jk');
    assert.equal(String(channel.rest()), '');
  });

  test('copies no byte more than twice, in however many pieces it comes and goes', async (t) => {
    for (const [chunkBytes, pieceBytes] of [
      [60_000, 10],
      [10, 60_000],
      [7, 13],
      [13, 7],
      [10, 10],
    ] as const) {
      const total = 60_000;
      const sent = Buffer.from(Array.from({ length: total }, (_, index) => index % 251));
      const channel = new Channel(total, () => undefined);
      let copied = 0;
      const concat = t.mock.method(Buffer, 'concat');
      for (let at = 0; at < total; at += chunkBytes)
        channel.push(sent.subarray(at, at + chunkBytes));
      const taken: Buffer[] = [];
      for (let left = total; left > 0;) {
        const piece = await channel.take(Math.min(pieceBytes, left));
        left -= piece.length;
        taken.push(piece);
      }
      for (const { result } of concat.mock.calls) copied += result?.length ?? 0;
      concat.mock.restore();
      assert.ok(Buffer.concat(taken).equals(sent));
      assert.ok(copied <= 2 * total, `${copied} bytes were copied to take ${total}`);
      assert.ok(channel.empty);
    }
  });

  test('copies nothing of what came in one chunk', async () => {
    const channel = new Channel(100, () => undefined);
    channel.push(Buffer.from('first second'));
    const [first, second] = [await channel.take(6), await channel.take(3)];
    const rest = channel.rest();
    assert.equal(`${String(first)}|${String(second)}|${String(rest)}`, 'first |sec|ond');
    assert.equal(second.byteOffset, first.byteOffset + 6);
    assert.equal(rest.byteOffset, second.byteOffset + 3);
    assert.equal(rest.buffer, first.buffer);
  });

  test('gives no bytes at once', async () => {
    const channel = new Channel(100, () => assert.fail('nothing is wanted'));
    assert.equal((await channel.take(0)).length, 0);
    channel.push(Buffer.from('a'));
    assert.equal((await channel.take(0)).length, 0);
    assert.equal(String(await channel.take(1)), 'a');
    assert.equal((await channel.take(0)).length, 0);
    assert.ok(channel.empty);
  });

  test('copies what it is given', async () => {
    const channel = new Channel(100, () => undefined);
    const bytes = Buffer.from('first');
    channel.push(bytes);
    bytes.fill(0);
    assert.equal(String(await channel.take(5)), 'first');
  });

  test('asks the reader to stop when it holds enough, and to read on when it wants more', async () => {
    let asked = 0;
    const channel = new Channel(4, () => asked++);
    assert.equal(channel.push(Buffer.alloc(3)), true);
    assert.equal(channel.push(Buffer.alloc(1)), false);
    await channel.take(4);
    assert.equal(asked, 0);
    const later = channel.take(10);
    assert.equal(asked, 1);
    assert.equal(channel.push(Buffer.alloc(9)), true, 'it waits for more than the limit');
    assert.equal(channel.push(Buffer.alloc(1)), false);
    assert.equal((await later).length, 10);
  });

  test('skips without holding', async () => {
    const channel = new Channel(4, () => undefined);
    const skipped = channel.skip(10_000);
    for (let count = 0; count < 2500; count++) {
      channel.push(Buffer.alloc(4));
      await Promise.resolve();
    }
    channel.push(Buffer.from('rest'));
    await skipped;
    assert.equal(String(await channel.take(4)), 'rest');
  });

  test('fails whoever waits when the peer has left, but gives what is there', async () => {
    const channel = new Channel(100, () => undefined);
    const waiting = channel.take(3);
    channel.push(Buffer.from('ab'));
    channel.close(left);
    await assert.rejects(waiting, left);
    assert.equal(String(await channel.take(2)), 'ab');
    await assert.rejects(channel.take(1), left);
    await assert.rejects(channel.skip(1), left);
  });
});
