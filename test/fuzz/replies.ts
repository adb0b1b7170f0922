/** Judges the replies of the transmission phase, in all three kinds of headers. */
import assert from 'node:assert/strict';
import { cmd, cmdFlag } from '../support/numbers.js';
import { parseStatus } from '../support/status.js';
import type { Agreed } from './model/haggling.js';
import { limits } from './model/profiles.js';
import type { Asked, Requested } from './model/requests.js';
import { judgeText, type Judging } from './oracle.js';

/** "Structured reply types". */
const chunkTypes = { none: 0, data: 1, hole: 2, status: 5, statusExtended: 6 } as const;
const errorType = 0x8001;
const errorOffsetType = 0x8002;
const chunkBytesMax = limits.requestBytesMax + 2 ** 13;

export function* judgeReplies(agreed: Agreed, requested: Requested): Judging {
  const judge = new ReplyJudge(agreed, requested);
  while (judge.isOpen) yield* agreed.headers === 'simple' ? judge.simple() : judge.chunk();
}

/** What has come of a reply in chunks. */
interface Progress {
  readonly asked: Asked;
  /** Ranges of the read that have come. */
  readonly ranges: { start: bigint; end: bigint }[];
  readonly contextIds: number[];
  chunks: number;
}

class ReplyJudge {
  /** Requests without a reply, by their cookies; those of one cookie in their order. */
  private readonly open = new Map<bigint, Asked[]>();
  private readonly begun = new Map<bigint, Progress>();
  private readonly agreed: Agreed;
  private readonly requested: Requested;

  constructor(agreed: Agreed, requested: Requested) {
    this.agreed = agreed;
    this.requested = requested;
    for (const asked of requested.asked) {
      const queue = this.open.get(asked.cookie);
      if (queue === undefined) this.open.set(asked.cookie, [asked]);
      else queue.push(asked);
    }
  }

  get isOpen(): boolean {
    return this.open.size > 0;
  }

  *simple(): Judging {
    const header = yield 16;
    assert.equal(header.readUInt32BE(0), 0x67446698, 'the magic of a simple reply');
    const error = header.readUInt32BE(4);
    const asked = this.askedFor(header.readBigUInt64BE(8));
    this.close(asked);
    this.judgeError(asked, error);
    if (asked.type !== cmd.read || error !== 0 || asked.length === 0n) return;
    const data = yield Number(asked.length);
    this.judgeData(asked, asked.offset, data);
  }

  *chunk(): Judging {
    const extended = this.agreed.headers === 'extended';
    const header = yield extended ? 32 : 20;
    const magic = extended ? 0x6e8a278c : 0x668e33ef;
    assert.equal(header.readUInt32BE(0), magic, 'the magic of a chunk');
    const flags = header.readUInt16BE(4);
    assert.ok(flags <= 1, `unknown flags of a chunk: ${flags}`);
    const type = header.readUInt16BE(6);
    const progress = this.progressOf(header.readBigUInt64BE(8));
    const { asked } = progress;
    const length = extended ? header.readBigUInt64BE(24) : BigInt(header.readUInt32BE(16));
    if (extended) assert.equal(header.readBigUInt64BE(16), asked.offset, 'the offset of a reply');
    assert.ok(length <= chunkBytesMax, `a chunk of ${length} bytes`);
    const payload = length === 0n ? Buffer.alloc(0) : yield Number(length);
    const done = flags === 1;
    progress.chunks++;
    if (type === errorType || type === errorOffsetType) {
      assert.ok(done, 'nothing follows an error here');
      this.judgeFailure(progress, type, payload);
    } else {
      this.judgeContent(progress, type, payload);
      if (done) this.judgeSuccess(progress);
    }
    if (!done) return;
    this.begun.delete(asked.cookie);
    this.close(asked);
  }

  private askedFor(cookie: bigint): Asked {
    const asked = this.open.get(cookie)?.[0];
    assert.ok(asked !== undefined, `a reply to no request: cookie ${cookie.toString(16)}`);
    return asked;
  }

  private progressOf(cookie: bigint): Progress {
    const begun = this.begun.get(cookie);
    if (begun !== undefined) return begun;
    const progress = { asked: this.askedFor(cookie), ranges: [], contextIds: [], chunks: 0 };
    this.begun.set(cookie, progress);
    return progress;
  }

  private close({ cookie }: Asked): void {
    const queue = this.open.get(cookie);
    queue?.shift();
    if (queue?.length === 0) this.open.delete(cookie);
  }

  private judgeError(asked: Asked, error: number): void {
    const right = error === 0 ? asked.maySucceed : asked.errors.has(error);
    assert.ok(right, `${show(asked)} gets the error ${error}`);
  }

  /** NBD_REPLY_TYPE_ERROR and NBD_REPLY_TYPE_ERROR_OFFSET. */
  private judgeFailure(progress: Progress, type: number, payload: Buffer): void {
    const { asked } = progress;
    const behind = type === errorOffsetType ? 8 : 0;
    assert.ok(payload.length >= 6 + behind, 'an error that is cut');
    const error = payload.readUInt32BE(0);
    assert.notEqual(error, 0, 'an error that is none');
    this.judgeError(asked, error);
    assert.equal(payload.readUInt16BE(4), payload.length - 6 - behind, 'the length of the text');
    judgeText(payload.subarray(6, payload.length - behind));
    const { failure } = asked;
    const isFailure = failure?.error === error;
    const failedAt = isFailure ? failure.failedAt : undefined;
    assert.equal(
      type === errorOffsetType,
      failedAt !== undefined,
      `${show(asked)}: where it failed`,
    );
    if (failedAt !== undefined) {
      assert.equal(payload.readBigUInt64BE(payload.length - 8), BigInt(failedAt));
    }
    const done = failure?.hasData === true && isFailure ? BigInt(failedAt ?? 0) - asked.offset : 0n;
    assert.equal(covered(progress), done, `${show(asked)}: the data before the failure`);
  }

  private judgeContent(progress: Progress, type: number, payload: Buffer): void {
    const { asked } = progress;
    if (type === chunkTypes.data || type === chunkTypes.hole) {
      assert.equal(asked.type, cmd.read, `${show(asked)} gets data`);
      const isHole = type === chunkTypes.hole;
      assert.ok(isHole ? payload.length === 12 : payload.length > 8, 'the length of a chunk');
      const start = payload.readBigUInt64BE(0);
      const data = isHole ? Buffer.alloc(payload.readUInt32BE(8)) : payload.subarray(8);
      assert.ok(data.length > 0, 'a hole of nothing');
      const end = start + BigInt(data.length);
      assert.ok(start >= asked.offset && end <= asked.offset + asked.length, 'out of the range');
      const overlaps = progress.ranges.some((range) => start < range.end && range.start < end);
      assert.ok(!overlaps, 'content chunks overlap');
      progress.ranges.push({ start, end });
      if ((asked.flags & cmdFlag.df) !== 0) assert.equal(progress.ranges.length, 1, 'DF');
      this.judgeData(asked, start, data);
    } else if (type === chunkTypes.none) {
      assert.equal(payload.length, 0, 'NBD_REPLY_TYPE_NONE has no payload');
      assert.equal(progress.chunks, 1, 'NBD_REPLY_TYPE_NONE behind other chunks');
    } else {
      const extended = this.agreed.headers === 'extended';
      assert.equal(type, extended ? chunkTypes.statusExtended : chunkTypes.status, 'a chunk type');
      assert.equal(asked.type, cmd.blockStatus, `${show(asked)} gets a block status`);
      this.judgeStatus(progress, type, payload);
    }
  }

  private judgeSuccess(progress: Progress): void {
    const { asked, contextIds } = progress;
    this.judgeError(asked, 0);
    if (asked.type === cmd.read) assert.equal(covered(progress), asked.length, show(asked));
    if (asked.type !== cmd.blockStatus) return;
    assert.deepEqual(contextIds.sort(), [...asked.contextIds].sort(), 'a chunk for each context');
  }

  private judgeData(asked: Asked, offset: bigint, data: Buffer): void {
    const { journal } = this.requested;
    const at = journal.wrongAt(Number(offset), data, asked.changesBefore);
    assert.equal(at, undefined, `${show(asked)}: a wrong byte at ${at}`);
  }

  private judgeStatus(progress: Progress, type: number, payload: Buffer): void {
    const { asked } = progress;
    const { type: command, flags, offset, length } = asked;
    const { id, extents } = parseStatus(type, payload, { type: command, flags, offset, length });
    assert.ok(!progress.contextIds.includes(id), 'a context twice');
    progress.contextIds.push(id);
    assert.ok(extents.length <= limits.extentsMax, `${extents.length} extents`);
    const { profile, contexts } = this.agreed;
    const context = contexts[id - 1];
    assert.ok(context !== undefined, `the context ${id} is not selected`);
    let start = offset;
    for (const [bytes, bits] of extents) {
      assert.equal(bytes % BigInt(profile.minimum), 0n, 'an extent of whole blocks');
      const end = start + bytes;
      assert.ok(end <= asked.size, 'an extent past the end');
      if (context.flagsAt !== undefined) {
        assert.equal(bits, context.flagsAt(start), 'the flags where an extent begins');
        assert.equal(bits, context.flagsAt(end - 1n), 'the flags where it ends');
      } else {
        assert.ok(bits <= 3n, 'unknown flags of base:allocation');
        if (!profile.knowsHoles) assert.equal(bits, 0n, 'a disk that knows no holes');
        if ((bits & 2n) !== 0n) this.judgeZeros(asked, start, end);
      }
      start = end;
    }
  }

  /** "Reads as zeroes", as far as the model keeps it in memory. */
  private judgeZeros(asked: Asked, start: bigint, end: bigint): void {
    const known = BigInt(this.agreed.profile.base.length);
    if (start >= known) return;
    this.judgeData(asked, start, Buffer.alloc(Number((end < known ? end : known) - start)));
  }
}

function covered({ ranges }: Progress): bigint {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0n);
}

function show({ type, flags, offset, length }: Asked): string {
  return `the command ${type} with the flags ${flags} of ${length} bytes at ${offset}`;
}
