/**
 * Judges everything that a server sends on one connection, byte by byte as it
 * comes, by what the model says of what the client sent. Shares nothing with
 * lib/.
 */
import assert from 'node:assert/strict';
import { rep } from '../support/numbers.js';
import { haggle, type Agreed, type Answer, type Ending, type Haggling } from './model/haggling.js';
import { readRequests, type Requested } from './model/requests.js';
import { judgeReplies } from './replies.js';

const errorTextBytesMax = 4096;
const optionReplyBytesMax = 2 ** 16;

/** A step of a judgement: it asks for so many bytes of what the server sends. */
export type Judging = Generator<number, void, Buffer>;

export class Oracle {
  readonly haggling: Haggling;
  /** Undefined where no export is chosen. */
  readonly requested: Requested | undefined;
  readonly ending: Ending;
  /** Bytes that the client sent and that end the connection before they are looked at. */
  readonly unread: number;
  /** Nobody could tell which reply is whose. */
  readonly ambiguous: boolean;
  private readonly judging: Judging;
  private wanted: number;
  private pieces: Buffer[] = [];
  private received = 0;
  private over = false;
  total = 0;

  /** `sent` is everything that the client sends. */
  constructor(sent: Buffer, stopping = false) {
    this.haggling = haggle(sent);
    const { agreed, length } = this.haggling;
    this.requested =
      agreed === undefined ? undefined : readRequests(sent, length, agreed, stopping);
    const last = this.requested ?? this.haggling;
    this.ending = last.ending;
    this.unread = last.ending === 'open' ? 0 : sent.length - last.length;
    this.ambiguous =
      agreed !== undefined &&
      this.requested !== undefined &&
      isAmbiguous(agreed, this.requested, stopping);
    this.judging = this.judge(stopping);
    this.wanted = this.next();
  }

  /** Everything has come that had to. */
  get satisfied(): boolean {
    return this.over && this.received === 0;
  }

  /** Bytes that the server sent. @throws AssertionError where it must not have. */
  push(bytes: Buffer): void {
    this.pieces.push(bytes);
    this.received += bytes.length;
    this.total += bytes.length;
    while (!this.over && this.received >= this.wanted) {
      const all = Buffer.concat(this.pieces);
      const taken = all.subarray(0, this.wanted);
      this.pieces = [all.subarray(this.wanted)];
      this.received -= taken.length;
      this.wanted = this.next(taken);
    }
    if (this.over) assert.equal(this.received, 0, 'the server sends more than was asked for');
  }

  private next(bytes: Buffer = Buffer.alloc(0)): number {
    const { done, value } = this.judging.next(bytes);
    this.over = done === true;
    return value ?? Infinity;
  }

  private *judge(stopping: boolean): Judging {
    const greeting = yield 18;
    assert.equal(greeting.toString('latin1'), 'NBDMAGICIHAVEOPT\0\x03');
    for (const answer of this.haggling.answers) {
      if (yield* judgeAnswer(answer, stopping)) return;
    }
    const { agreed } = this.haggling;
    if (agreed === undefined || this.requested === undefined) return;
    if (this.ambiguous) yield Infinity;
    yield* judgeReplies(agreed, this.requested);
  }
}

/**
 * A disk that answers in any order, and requests that cannot be told apart; or a
 * size that depends on when the server was told to stop.
 */
function isAmbiguous({ profile }: Agreed, { asked }: Requested, stopping: boolean): boolean {
  if (stopping && profile.name === 'resizable') return true;
  const cookies = new Set(asked.map(({ cookie }) => cookie));
  const anyOrder = !profile.inOrder || profile.name === 'resizable';
  return anyOrder && cookies.size < asked.length;
}

/** All replies to one option. True where the server stops, and that was the last one. */
function* judgeAnswer(answer: Answer, stopping: boolean): Generator<number, boolean, Buffer> {
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
    assert.equal(header.readUInt32BE(8), option, 'the option that is replied to');
    const type = header.readUInt32BE(12);
    const length = header.readUInt32BE(16);
    assert.ok(length <= optionReplyBytesMax, `an option reply of ${length} bytes`);
    const data = length === 0 ? Buffer.alloc(0) : yield length;
    if (stopping && type === errShutdown) return true;
    if (type === rep.ack || type >= 2 ** 31) {
      assert.equal(type, final, `the final reply to option ${option}`);
      assert.deepEqual(left, [], `replies to option ${option} that did not come`);
      if (type === rep.ack) assert.equal(data.length, 0, 'NBD_REP_ACK has no data');
      else judgeText(data);
      return false;
    }
    const index = left.findIndex((one) => one.type === type && one.data.equals(data));
    assert.notEqual(index, -1, `option ${option} gets ${type}: ${data.toString('latin1')}`);
    left.splice(index, 1);
  }
}

const errShutdown = 0x80000007;

/** "Conventions": UTF-8 without NUL, at most 4096 bytes. For people, so not empty. */
export function judgeText(bytes: Buffer): void {
  assert.ok(bytes.length > 0 && bytes.length <= errorTextBytesMax, 'the length of a text');
  assert.ok(!bytes.includes(0), 'NUL in a text');
  assert.ok(Buffer.from(bytes.toString('utf8')).equals(bytes), 'a text is not UTF-8');
}
