/** The oracle accepts a correct reply, and rejects every change of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  goData,
  headerKinds,
  optionBytes,
  requestBytes,
  type Headers,
} from '../support/byte-client.js';
import { cmd, info, opt, rep, u16, u32, u64 } from '../support/numbers.js';
import { profiles } from './model/profiles.js';
import { Oracle } from './oracle.js';

const memory = profiles[0]?.base ?? Buffer.alloc(0);
const headerOptions = { simple: 0, structured: opt.structuredReply, extended: opt.extendedHeaders };

/** A client's bytes: two reads, and a write past the end. */
function clientBytes(headers: Headers): Buffer {
  const agreement = headerOptions[headers];
  return Buffer.concat([
    u32(3),
    ...(agreement === 0 ? [] : [optionBytes(agreement)]),
    optionBytes(opt.go, goData('memory', [info.blockSize])),
    requestBytes(headers, { type: cmd.read, cookie: 1n, offset: 5, length: 40 }),
    requestBytes(headers, { type: cmd.write, cookie: 2n, offset: 2 ** 40, payload: Buffer.of(1) }),
    requestBytes(headers, { type: cmd.read, cookie: 3n, offset: 100, length: 3 }),
  ]);
}

function optionReply(option: number, type: number, ...data: Buffer[]): Buffer {
  const bytes = Buffer.concat(data);
  return Buffer.concat([u64(0x3e889045565a9n), u32(option), u32(type), u32(bytes.length), bytes]);
}

/** Transmission flags of `memory`, with DF where replies have chunks. */
function flagsFor(headers: Headers): number {
  return 0xd6d | (headers === 'simple' ? 0 : 0x80);
}

function handshake(headers: Headers): Buffer {
  const agreement = headerOptions[headers];
  const size = Buffer.concat([u16(0), u64(memory.length), u16(flagsFor(headers))]);
  const blockSize = Buffer.concat([u16(3), u32(1), u32(4096), u32(65_536)]);
  return Buffer.concat([
    Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1'),
    ...(agreement === 0 ? [] : [optionReply(agreement, rep.ack)]),
    optionReply(opt.go, rep.info, size),
    optionReply(opt.go, rep.info, blockSize),
    optionReply(opt.go, rep.ack),
  ]);
}

function chunk(
  headers: Headers,
  reply: { type: number; cookie: bigint; offset: number },
  ...payload: Buffer[]
): Buffer {
  const bytes = Buffer.concat(payload);
  const extended = headers === 'extended';
  return Buffer.concat([
    u32(extended ? 0x6e8a278c : 0x668e33ef),
    u16(1),
    u16(reply.type),
    u64(reply.cookie),
    ...(extended ? [u64(reply.offset), u64(bytes.length)] : [u32(bytes.length)]),
    bytes,
  ]);
}

/** One for each request, in another order. */
function replies(headers: Headers): Buffer[] {
  const first = memory.subarray(5, 45);
  const third = memory.subarray(100, 103);
  if (headers === 'simple') {
    const simple = (error: number, cookie: bigint, data: Buffer = Buffer.alloc(0)): Buffer =>
      Buffer.concat([u32(0x67446698), u32(error), u64(cookie), data]);
    return [simple(28, 2n), simple(0, 3n, third), simple(0, 1n, first)];
  }
  const text = Buffer.from('past the end');
  const failure = [u32(28), u16(text.length), text];
  return [
    chunk(headers, { type: 0x8001, cookie: 2n, offset: 2 ** 40 }, ...failure),
    chunk(headers, { type: 1, cookie: 3n, offset: 100 }, u64(100), third),
    chunk(headers, { type: 1, cookie: 1n, offset: 5 }, u64(5), first),
  ];
}

/** Whether the oracle accepts what was received as complete. */
function accepts(sent: Buffer, received: Buffer): boolean {
  const oracle = new Oracle(sent);
  try {
    oracle.push(received);
  } catch (error) {
    assert.ok(error instanceof assert.AssertionError, String(error));
    return false;
  }
  return oracle.satisfied;
}

describe('the oracle', () => {
  for (const headers of headerKinds) {
    test(`accepts only the correct replies with ${headers} headers`, () => {
      const sent = clientBytes(headers);
      const all = replies(headers);
      const right = Buffer.concat([handshake(headers), ...all]);
      assert.ok(accepts(sent, right));
      for (let length = 0; length < right.length; length++) {
        assert.ok(!accepts(sent, right.subarray(0, length)), `truncated to ${length} bytes`);
      }
      assert.ok(!accepts(sent, Buffer.concat([right, Buffer.of(0)])), 'a byte more');
      for (const reply of all) {
        assert.ok(!accepts(sent, Buffer.concat([right, reply])), 'a reply twice');
      }
      // The message of an error may be any text.
      const text = right.indexOf('past the end');
      for (let bit = 0; bit < right.length * 8; bit++) {
        const at = bit >> 3;
        if (text >= 0 && at >= text && at < text + 'past the end'.length) continue;
        const wrong = Buffer.from(right);
        wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << (bit & 7)), at);
        assert.ok(!accepts(sent, wrong), `another bit in byte ${at}`);
      }
    });
  }
});
