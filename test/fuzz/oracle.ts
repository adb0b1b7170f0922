/**
 * Checks every byte that a server sends on one connection, as it arrives, against
 * what the model derives from the client's bytes. Shares no code with lib/.
 */
import assert from 'node:assert/strict';
import { rep } from '../support/numbers.js';
import {
  readNegotiation,
  type Agreement,
  type Answer,
  type Ending,
  type Negotiation,
} from './model/negotiation.js';
import { readRequests, type Transmission } from './model/requests.js';
import { checkReplies } from './replies.js';

const errorTextBytesMax = 4096;
const optionReplyBytesMax = 2 ** 16;

/** A check in steps: each yields the number of bytes that it needs next. */
export type Check = Generator<number, void, Buffer>;

export class Oracle {
  readonly negotiation: Negotiation;
  /** Undefined where no export is chosen. */
  readonly transmission: Transmission | undefined;
  readonly ending: Ending;
  /** Bytes that the client sent after those that end the connection. */
  readonly unread: number;
  /** Replies cannot be assigned to requests. */
  readonly ambiguous: boolean;
  private readonly check: Check;
  private neededBytes: number;
  private pieces: Buffer[] = [];
  private received = 0;
  private finished = false;
  total = 0;

  /** @param sent All bytes that the client sends. */
  constructor(sent: Buffer, stopping = false) {
    this.negotiation = readNegotiation(sent);
    const { agreement, length } = this.negotiation;
    this.transmission =
      agreement === undefined ? undefined : readRequests(sent, length, agreement, stopping);
    const last = this.transmission ?? this.negotiation;
    this.ending = last.ending;
    this.unread = last.ending === 'open' ? 0 : sent.length - last.length;
    this.ambiguous =
      agreement !== undefined &&
      this.transmission !== undefined &&
      isAmbiguous(agreement, this.transmission, stopping);
    this.check = this.checkAll(stopping);
    this.neededBytes = this.next();
  }

  /** All expected replies have arrived. */
  get satisfied(): boolean {
    return this.finished && this.received === 0;
  }

  /** Check bytes that the server sent. @throws AssertionError where they are wrong. */
  push(bytes: Buffer): void {
    this.pieces.push(bytes);
    this.received += bytes.length;
    this.total += bytes.length;
    while (!this.finished && this.received >= this.neededBytes) {
      const all = Buffer.concat(this.pieces);
      const taken = all.subarray(0, this.neededBytes);
      this.pieces = [all.subarray(this.neededBytes)];
      this.received -= taken.length;
      this.neededBytes = this.next(taken);
    }
    if (this.finished) assert.equal(this.received, 0, 'the server sends more than it was asked to');
  }

  private next(bytes: Buffer = Buffer.alloc(0)): number {
    const { done, value } = this.check.next(bytes);
    this.finished = done === true;
    return value ?? Infinity;
  }

  private *checkAll(stopping: boolean): Check {
    const greeting = yield 18;
    assert.equal(greeting.toString('latin1'), 'NBDMAGICIHAVEOPT\0\x03');
    for (const answer of this.negotiation.answers) {
      if (yield* checkAnswer(answer, stopping)) return;
    }
    const { agreement } = this.negotiation;
    if (agreement === undefined || this.transmission === undefined) return;
    if (this.ambiguous) yield Infinity;
    yield* checkReplies(agreement, this.transmission);
  }
}

/**
 * A disk that answers in any order, with requests that share a cookie; or a size
 * that depends on when the server stops.
 */
function isAmbiguous(
  { profile }: Agreement,
  { expected }: Transmission,
  stopping: boolean,
): boolean {
  if (stopping && profile.name === 'resizable') return true;
  const cookies = new Set(expected.map(({ cookie }) => cookie));
  const anyOrder = !profile.inOrder || profile.name === 'resizable';
  return anyOrder && cookies.size < expected.length;
}

/** Check all replies to one option. True where the server stops after this one. */
function* checkAnswer(answer: Answer, stopping: boolean): Generator<number, boolean, Buffer> {
  if ('bytes' in answer) {
    const bytes = yield answer.bytes.length;
    assert.deepEqual(bytes, answer.bytes, 'the answer to NBD_OPT_EXPORT_NAME');
    return false;
  }
  const { option, replies, final } = answer;
  const left = [...replies];
  for (;;) {
    const header = yield 20;
    assert.equal(header.readBigUInt64BE(0), 0x3e889045565a9n, 'the magic of an option reply');
    assert.equal(header.readUInt32BE(8), option, 'the option of a reply');
    const type = header.readUInt32BE(12);
    const length = header.readUInt32BE(16);
    assert.ok(length <= optionReplyBytesMax, `an option reply of ${length} bytes`);
    const data = length === 0 ? Buffer.alloc(0) : yield length;
    if (stopping && type === errShutdown) return true;
    if (type === rep.ack || type >= 2 ** 31) {
      assert.equal(type, final, `the final reply to option ${option}`);
      assert.deepEqual(left, [], `missing replies to option ${option}`);
      if (type === rep.ack) assert.equal(data.length, 0, 'NBD_REP_ACK has no data');
      else checkText(data);
      return false;
    }
    const index = left.findIndex((one) => one.type === type && one.data.equals(data));
    assert.notEqual(index, -1, `option ${option} gets ${type}: ${data.toString('latin1')}`);
    left.splice(index, 1);
  }
}

const errShutdown = 0x80000007;

/** "Conventions": UTF-8 without NUL, at most 4096 bytes. Human-readable, so not empty. */
export function checkText(bytes: Buffer): void {
  assert.ok(bytes.length > 0 && bytes.length <= errorTextBytesMax, 'the length of a message');
  assert.ok(!bytes.includes(0), 'NUL in a message');
  assert.ok(Buffer.from(bytes.toString('utf8')).equals(bytes), 'a message is not UTF-8');
}
