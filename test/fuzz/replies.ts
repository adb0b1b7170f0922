/** Checks the replies of the transmission phase, with all three kinds of headers. */
import assert from 'node:assert/strict';
import { cmd, cmdFlag } from '../support/numbers.js';
import { parseStatus } from '../support/status.js';
import type { Agreement } from './model/negotiation.js';
import { limits } from './model/profiles.js';
import type { ExpectedReply, Transmission } from './model/requests.js';
import { checkText, type Check } from './oracle.js';

/** "Structured reply types". */
const chunkTypes = { none: 0, data: 1, hole: 2, status: 5, statusExtended: 6 } as const;
const errorType = 0x8001;
const errorOffsetType = 0x8002;
const chunkBytesMax = limits.requestBytesMax + 2 ** 13;

export function* checkReplies(agreement: Agreement, transmission: Transmission): Check {
  const checker = new ReplyChecker(agreement, transmission);
  while (checker.isOpen) yield* agreement.headers === 'simple' ? checker.simple() : checker.chunk();
}

/** The chunks of a reply that have arrived. */
interface Progress {
  readonly expected: ExpectedReply;
  /** Ranges of the READ that have arrived. */
  readonly ranges: { start: bigint; end: bigint }[];
  readonly contextIds: number[];
  chunks: number;
}

class ReplyChecker {
  /** Requests without a reply, by their cookies; those of one cookie in their order. */
  private readonly open = new Map<bigint, ExpectedReply[]>();
  private readonly unfinished = new Map<bigint, Progress>();
  private readonly agreement: Agreement;
  private readonly transmission: Transmission;

  constructor(agreement: Agreement, transmission: Transmission) {
    this.agreement = agreement;
    this.transmission = transmission;
    for (const expected of transmission.expected) {
      const queue = this.open.get(expected.cookie);
      if (queue === undefined) this.open.set(expected.cookie, [expected]);
      else queue.push(expected);
    }
  }

  get isOpen(): boolean {
    return this.open.size > 0;
  }

  *simple(): Check {
    const header = yield 16;
    assert.equal(header.readUInt32BE(0), 0x67446698, 'the magic of a simple reply');
    const error = header.readUInt32BE(4);
    const expected = this.expectedFor(header.readBigUInt64BE(8));
    this.close(expected);
    this.checkError(expected, error);
    if (expected.type !== cmd.read || error !== 0 || expected.length === 0n) return;
    const data = yield Number(expected.length);
    this.checkData(expected, expected.offset, data);
  }

  *chunk(): Check {
    const extended = this.agreement.headers === 'extended';
    const header = yield extended ? 32 : 20;
    const magic = extended ? 0x6e8a278c : 0x668e33ef;
    assert.equal(header.readUInt32BE(0), magic, 'the magic of a chunk');
    const flags = header.readUInt16BE(4);
    assert.ok(flags <= 1, `unknown flags of a chunk: ${flags}`);
    const type = header.readUInt16BE(6);
    const progress = this.progressOf(header.readBigUInt64BE(8));
    const { expected } = progress;
    const length = extended ? header.readBigUInt64BE(24) : BigInt(header.readUInt32BE(16));
    if (extended)
      assert.equal(header.readBigUInt64BE(16), expected.offset, 'the offset of a reply');
    assert.ok(length <= chunkBytesMax, `a chunk of ${length} bytes`);
    const payload = length === 0n ? Buffer.alloc(0) : yield Number(length);
    const done = flags === 1;
    progress.chunks++;
    if (type === errorType || type === errorOffsetType) {
      assert.ok(done, 'an error chunk must be the last');
      this.checkFailure(progress, type, payload);
    } else {
      this.checkContent(progress, type, payload);
      if (done) this.checkSuccess(progress);
    }
    if (!done) return;
    this.unfinished.delete(expected.cookie);
    this.close(expected);
  }

  private expectedFor(cookie: bigint): ExpectedReply {
    const expected = this.open.get(cookie)?.[0];
    assert.ok(expected !== undefined, `a reply to no request: cookie ${cookie.toString(16)}`);
    return expected;
  }

  private progressOf(cookie: bigint): Progress {
    const unfinished = this.unfinished.get(cookie);
    if (unfinished !== undefined) return unfinished;
    const progress = { expected: this.expectedFor(cookie), ranges: [], contextIds: [], chunks: 0 };
    this.unfinished.set(cookie, progress);
    return progress;
  }

  private close({ cookie }: ExpectedReply): void {
    const queue = this.open.get(cookie);
    queue?.shift();
    if (queue?.length === 0) this.open.delete(cookie);
  }

  private checkError(expected: ExpectedReply, error: number): void {
    const right = error === 0 ? expected.maySucceed : expected.errors.has(error);
    assert.ok(right, `${show(expected)} gets the error ${error}`);
  }

  /** NBD_REPLY_TYPE_ERROR and NBD_REPLY_TYPE_ERROR_OFFSET. */
  private checkFailure(progress: Progress, type: number, payload: Buffer): void {
    const { expected } = progress;
    const trailingBytes = type === errorOffsetType ? 8 : 0;
    assert.ok(payload.length >= 6 + trailingBytes, 'an error chunk is too short');
    const error = payload.readUInt32BE(0);
    assert.notEqual(error, 0, 'the error of an error chunk is 0');
    this.checkError(expected, error);
    assert.equal(
      payload.readUInt16BE(4),
      payload.length - 6 - trailingBytes,
      'the length of the message',
    );
    checkText(payload.subarray(6, payload.length - trailingBytes));
    const { failure } = expected;
    const isFailure = failure?.error === error;
    const failedAt = isFailure ? failure.failedAt : undefined;
    assert.equal(
      type === errorOffsetType,
      failedAt !== undefined,
      `${show(expected)}: where it failed`,
    );
    if (failedAt !== undefined) {
      assert.equal(payload.readBigUInt64BE(payload.length - 8), BigInt(failedAt));
    }
    const done =
      failure?.hasData === true && isFailure ? BigInt(failedAt ?? 0) - expected.offset : 0n;
    assert.equal(covered(progress), done, `${show(expected)}: the data before the failure`);
  }

  private checkContent(progress: Progress, type: number, payload: Buffer): void {
    const { expected } = progress;
    if (type === chunkTypes.data || type === chunkTypes.hole) {
      assert.equal(expected.type, cmd.read, `${show(expected)} gets data`);
      const isHole = type === chunkTypes.hole;
      assert.ok(isHole ? payload.length === 12 : payload.length > 8, 'the length of a chunk');
      const start = payload.readBigUInt64BE(0);
      const data = isHole ? Buffer.alloc(payload.readUInt32BE(8)) : payload.subarray(8);
      assert.ok(data.length > 0, 'an empty content chunk');
      const end = start + BigInt(data.length);
      assert.ok(
        start >= expected.offset && end <= expected.offset + expected.length,
        'a content chunk outside the request',
      );
      const overlaps = progress.ranges.some((range) => start < range.end && range.start < end);
      assert.ok(!overlaps, 'content chunks overlap');
      progress.ranges.push({ start, end });
      if ((expected.flags & cmdFlag.df) !== 0) assert.equal(progress.ranges.length, 1, 'DF');
      this.checkData(expected, start, data);
    } else if (type === chunkTypes.none) {
      assert.equal(payload.length, 0, 'NBD_REPLY_TYPE_NONE has no payload');
      assert.equal(progress.chunks, 1, 'NBD_REPLY_TYPE_NONE after other chunks');
    } else {
      const extended = this.agreement.headers === 'extended';
      assert.equal(type, extended ? chunkTypes.statusExtended : chunkTypes.status, 'a chunk type');
      assert.equal(expected.type, cmd.blockStatus, `${show(expected)} gets a block status`);
      this.checkStatus(progress, type, payload);
    }
  }

  private checkSuccess(progress: Progress): void {
    const { expected, contextIds } = progress;
    this.checkError(expected, 0);
    if (expected.type === cmd.read)
      assert.equal(covered(progress), expected.length, show(expected));
    if (expected.type !== cmd.blockStatus) return;
    assert.deepEqual(
      contextIds.sort(),
      [...expected.contextIds].sort(),
      'a chunk for each context',
    );
  }

  private checkData(expected: ExpectedReply, offset: bigint, data: Buffer): void {
    const { journal } = this.transmission;
    const at = journal.wrongAt(Number(offset), data, expected.changesBefore);
    assert.equal(at, undefined, `${show(expected)}: a wrong byte at ${at}`);
  }

  private checkStatus(progress: Progress, type: number, payload: Buffer): void {
    const { expected } = progress;
    const { type: command, flags, offset, length } = expected;
    const { id, extents } = parseStatus(type, payload, { type: command, flags, offset, length });
    assert.ok(!progress.contextIds.includes(id), 'a repeated context');
    progress.contextIds.push(id);
    assert.ok(extents.length <= limits.extentsMax, `${extents.length} extents`);
    const { profile, contexts } = this.agreement;
    const context = contexts[id - 1];
    assert.ok(context !== undefined, `the context ${id} is not selected`);
    let start = offset;
    for (const [bytes, bits] of extents) {
      assert.equal(bytes % BigInt(profile.minimum), 0n, 'an extent must consist of whole blocks');
      const end = start + bytes;
      assert.ok(end <= expected.size, 'an extent past the end');
      if (context.flagsAt !== undefined) {
        assert.equal(bits, context.flagsAt(start), 'the flags where an extent begins');
        assert.equal(bits, context.flagsAt(end - 1n), 'the flags where it ends');
      } else {
        assert.ok(bits <= 3n, 'unknown flags of base:allocation');
        if (!profile.knowsHoles) assert.equal(bits, 0n, 'the flags of a disk without holes');
        if ((bits & 2n) !== 0n) this.checkZeros(expected, start, end);
      }
      start = end;
    }
  }

  /** "Reads as zeroes", as far as the model keeps it in memory. */
  private checkZeros(expected: ExpectedReply, start: bigint, end: bigint): void {
    const known = BigInt(this.agreement.profile.base.length);
    if (start >= known) return;
    this.checkData(expected, start, Buffer.alloc(Number((end < known ? end : known) - start)));
  }
}

function covered({ ranges }: Progress): bigint {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0n);
}

function show({ type, flags, offset, length }: ExpectedReply): string {
  return `the command ${type} with the flags ${flags} of ${length} bytes at ${offset}`;
}
