/**
 * A client at the level of bytes: it builds requests and parses simple, structured
 * and extended replies, written from proto.md and proto-extended-headers.md. It
 * shares no code with lib/, and checks every reply against the specification.
 */
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { cmd, cmdFlag, info, opt, rep, u16, u32, u64 } from './numbers.js';
import { contextData, parseStatus, type Status } from './status.js';

export const headerKinds = ['simple', 'structured', 'extended'] as const;
export type Headers = (typeof headerKinds)[number];

export interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

export interface RequestFields {
  readonly type: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
  /** Of a WRITE. Default of `length`: its length. */
  readonly payload?: Uint8Array;
}

export interface Reply {
  readonly cookie: bigint;
  /** 0 is success. */
  readonly error: number;
  /** Human-readable; simple replies have none. */
  readonly message: string;
  readonly data: Buffer;
}

/** "Setting an option". */
export function optionBytes(type: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from('IHAVEOPT'), u32(type), u32(data.byteLength), data]);
}

/** The data of NBD_OPT_INFO and NBD_OPT_GO. */
export function goData(name: string | Uint8Array, wanted: readonly number[] = []): Buffer {
  const bytes = Buffer.from(name);
  return Buffer.concat([u32(bytes.length), bytes, u16(wanted.length), ...wanted.map(u16)]);
}

/** "Request message", compact or extended. */
export function requestBytes(headers: Headers, fields: RequestFields): Buffer {
  const { type, cookie = 1n, offset = 0, payload = Buffer.alloc(0) } = fields;
  const { length = payload.byteLength } = fields;
  const extended = headers === 'extended';
  const flags = fields.flags ?? (extended && type === cmd.write ? cmdFlag.payloadLen : 0);
  return Buffer.concat([
    u32(extended ? 0x21e41c71 : 0x25609513),
    u16(flags),
    u16(type),
    u64(cookie),
    u64(offset),
    extended ? u64(length) : u32(Number(length)),
    payload,
  ]);
}

export class ByteClient {
  headers: Headers = 'simple';
  /** The chunks of the last reply, with the length of their content or error. */
  lastChunks: { type: number; length: number }[] = [];
  readonly stream: Duplex;
  private readonly streamClosed: Promise<void>;
  private received: Buffer[] = [];
  private count = 0;
  private ended = false;
  private error: Error | undefined;
  private wake: () => void = () => undefined;
  /** IDs of the contexts that `open` has selected. */
  contextIds: readonly number[] = [];
  /** The status chunks of the last reply. */
  lastStatus: Status[] = [];
  private lastCookie = 0x1122334400000000n;
  private readonly outstanding = new Map<bigint, RequestFields>();

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.received.push(chunk);
      this.count += chunk.length;
      this.wake();
    });
    stream.on('error', (error) => (this.error = error)); // 'close' follows
    this.streamClosed = new Promise((resolve) => {
      stream.on('close', () => {
        this.ended = true;
        this.wake();
        resolve();
      });
    });
  }

  /** Bytes received and not taken yet. */
  get receivedBytes(): number {
    return this.count;
  }

  /** Settles when the connection is closed, with the bytes received and not taken. */
  get closed(): Promise<Buffer> {
    return this.streamClosed.then(() => this.rest());
  }

  send(...pieces: Uint8Array[]): void {
    this.stream.write(Buffer.concat(pieces));
  }

  async take(count: number): Promise<Buffer> {
    while (this.count < count) {
      if (this.ended) {
        const message = `the connection closed after ${this.count} of ${count} bytes`;
        throw new Error(message, { cause: this.error });
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const all = this.rest();
    this.received = [all.subarray(count)];
    this.count = all.length - count;
    return all.subarray(0, count);
  }

  /** The greeting, answered with NBD_FLAG_C_FIXED_NEWSTYLE and NBD_FLAG_C_NO_ZEROES. */
  async greet(flags = 3): Promise<void> {
    assert.deepEqual(await this.take(18), Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1'));
    this.send(u32(flags));
  }

  /** Send an option. Returns all replies to it; the last is final. */
  async option(type: number, data?: Uint8Array): Promise<OptionReply[]> {
    this.send(optionBytes(type, data));
    return this.optionReplies(type);
  }

  async optionReplies(option: number): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const header = await this.take(20);
      assert.equal(header.readBigUInt64BE(0), 0x3e889045565a9n);
      assert.equal(header.readUInt32BE(8), option);
      const type = header.readUInt32BE(12);
      const reply = { type, data: await this.take(header.readUInt32BE(16)) };
      replies.push(reply);
      if (type === rep.ack) assert.equal(reply.data.length, 0);
      if (type >= 0x80000000) checkText(reply.data);
      if (type === rep.ack || type >= 0x80000000) return replies;
    }
  }

  /**
   * From the greeting to the transmission phase, with metadata contexts that the
   * export must have. Returns the export's size and transmission flags.
   */
  async open(
    headers: Headers = 'simple',
    name = '',
    contexts: readonly string[] = [],
  ): Promise<{ size: bigint; flags: number }> {
    await this.greet();
    return this.negotiate(headers, name, contexts);
  }

  /** The same after the greeting, or after NBD_OPT_STARTTLS. */
  async negotiate(
    headers: Headers = 'simple',
    name = '',
    contexts: readonly string[] = [],
  ): Promise<{ size: bigint; flags: number }> {
    this.headers = headers;
    const agreement = {
      simple: [],
      structured: [opt.structuredReply],
      extended: [opt.extendedHeaders],
    };
    for (const type of agreement[headers]) {
      assert.deepEqual(await this.option(type), [{ type: rep.ack, data: Buffer.alloc(0) }]);
    }
    if (contexts.length > 0) await this.setMetaContexts(name, contexts);
    const replies = await this.option(opt.go, goData(name, [info.blockSize]));
    assert.equal(replies.at(-1)?.type, rep.ack);
    const data = replies.find((reply) => reply.data.readUInt16BE(0) === info.export)?.data;
    assert.equal(data?.length, 12);
    return { size: data.readBigUInt64BE(2), flags: data.readUInt16BE(10) };
  }

  /** NBD_OPT_SET_META_CONTEXT. Keeps the IDs in the order of `contexts`. */
  private async setMetaContexts(name: string, contexts: readonly string[]): Promise<void> {
    const replies = await this.option(opt.setMetaContext, contextData(name, contexts));
    assert.equal(replies.pop()?.type, rep.ack);
    const ids = new Map(
      replies.map(({ type, data }) => {
        assert.equal(type, rep.metaContext);
        return [data.toString('utf8', 4), data.readUInt32BE(0)];
      }),
    );
    assert.deepEqual([...ids.keys()].sort(), [...contexts].sort());
    assert.equal(new Set(ids.values()).size, ids.size, 'each context has its own ID');
    this.contextIds = contexts.map((context) => ids.get(context) ?? 0);
  }

  /** Send a request. Returns its cookie, which is unique by default. */
  request(fields: RequestFields): bigint {
    const { cookie } = this.expectReply(fields);
    this.send(requestBytes(this.headers, { ...fields, cookie }));
    return cookie;
  }

  /** Expect the reply to a request that the caller sends. */
  expectReply<Fields extends RequestFields>(fields: Fields): Fields & { cookie: bigint } {
    this.lastCookie += 0x0101010101n;
    const asked = { ...fields, cookie: fields.cookie ?? this.lastCookie };
    assert.ok(!this.outstanding.has(asked.cookie), 'the cookie is in use');
    this.outstanding.set(asked.cookie, asked);
    return asked;
  }

  /** The next reply, to any request. */
  async reply(): Promise<Reply> {
    return this.headers === 'simple' ? this.simpleReply() : this.chunkedReply();
  }

  /** Send a request, and receive its reply. */
  async call(fields: RequestFields): Promise<Reply> {
    const cookie = this.request(fields);
    const reply = await this.reply();
    assert.equal(reply.cookie, cookie);
    return reply;
  }

  private async simpleReply(): Promise<Reply> {
    const header = await this.take(16);
    assert.equal(header.readUInt32BE(0), 0x67446698);
    const error = header.readUInt32BE(4);
    const cookie = header.readBigUInt64BE(8);
    const { type, length = 0 } = this.takeRequest(cookie);
    const data = await this.take(type === cmd.read && error === 0 ? Number(length) : 0);
    return { cookie, error, message: '', data };
  }

  /** All chunks of a reply. This server does not interleave those of different replies. */
  private async chunkedReply(): Promise<Reply> {
    this.lastChunks = [];
    this.lastStatus = [];
    const data: Buffer[] = [];
    let cookie: bigint | undefined;
    let failure = { error: 0, message: '' };
    let position = 0n;
    for (let done = false; !done;) {
      const chunk = await this.chunk();
      cookie ??= chunk.cookie;
      assert.equal(chunk.cookie, cookie);
      const request = this.outstanding.get(cookie);
      assert.ok(request !== undefined, `a reply to no request: cookie ${cookie}`);
      const start = BigInt(request.offset ?? 0);
      done = chunk.flags === 1;
      assert.ok(done || chunk.flags === 0, 'NBD_REPLY_FLAG_DONE is the only flag');
      const { payload, type } = chunk;
      if (type === 1 || type === 2) {
        assert.equal(request.type, cmd.read);
        assert.equal(payload.readBigUInt64BE(0), start + position, 'chunks follow each other');
        const bytes = contentOf(type, payload);
        position += BigInt(bytes.length);
        data.push(bytes);
        this.lastChunks.push({ type, length: bytes.length });
      } else if (type === 0x8001 || type === 0x8002) {
        assert.ok(done, 'an error comes last');
        failure = errorOf(payload, type === 0x8002 ? 8 : 0);
        this.lastChunks.push({ type, length: payload.length });
        if (type === 0x8002) {
          const failedAt = payload.readBigUInt64BE(payload.length - 8);
          assert.ok(failedAt >= start && failedAt < start + BigInt(request.length ?? 0));
          assert.ok(position === 0n || failedAt === start + position);
        }
      } else if (type === (this.headers === 'extended' ? 6 : 5)) {
        this.lastStatus.push(parseStatus(type, payload, request));
      } else {
        assert.equal(type, 0);
        assert.equal(payload.length, 0);
        assert.notEqual(request.type, cmd.blockStatus);
      }
    }
    assert.ok(cookie !== undefined);
    const { type, length = 0 } = this.takeRequest(cookie);
    if (type === cmd.read && failure.error === 0) assert.equal(position, BigInt(length));
    return { cookie, ...failure, data: Buffer.concat(data) };
  }

  /** "Structured reply chunk message" or "Extended reply chunk message". */
  private async chunk() {
    const extended = this.headers === 'extended';
    const header = await this.take(extended ? 32 : 20);
    assert.equal(header.readUInt32BE(0), extended ? 0x6e8a278c : 0x668e33ef);
    const cookie = header.readBigUInt64BE(8);
    const length = extended ? header.readBigUInt64BE(24) : header.readUInt32BE(16);
    if (extended) {
      assert.equal(header.readBigUInt64BE(16), BigInt(this.outstanding.get(cookie)?.offset ?? 0));
    }
    const payload = await this.take(Number(length));
    return { cookie, flags: header.readUInt16BE(4), type: header.readUInt16BE(6), payload };
  }

  private takeRequest(cookie: bigint): RequestFields {
    const request = this.outstanding.get(cookie);
    assert.ok(request !== undefined, `a reply to no request: cookie ${cookie}`);
    this.outstanding.delete(cookie);
    return request;
  }

  private rest(): Buffer {
    const all = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received);
    this.received = [];
    this.count = 0;
    return all ?? Buffer.alloc(0);
  }
}

/** NBD_REPLY_TYPE_OFFSET_DATA or NBD_REPLY_TYPE_OFFSET_HOLE. */
function contentOf(type: number, payload: Buffer): Buffer {
  if (type === 1) {
    assert.ok(payload.length >= 9);
    return payload.subarray(8);
  }
  assert.equal(payload.length, 12);
  const length = payload.readUInt32BE(8);
  assert.notEqual(length, 0);
  return Buffer.alloc(length);
}

/** NBD_REPLY_TYPE_ERROR, or NBD_REPLY_TYPE_ERROR_OFFSET with `trailing` bytes after the message. */
function errorOf(payload: Buffer, trailing: number): { error: number; message: string } {
  const error = payload.readUInt32BE(0);
  assert.notEqual(error, 0);
  const length = payload.readUInt16BE(4);
  assert.equal(length, payload.length - 6 - trailing);
  const text = payload.subarray(6, 6 + length);
  checkText(text);
  return { error, message: text.toString() };
}

/** "Conventions", of strings. */
function checkText(text: Buffer): void {
  assert.ok(text.length <= 4096, 'the string is too long');
  assert.ok(!text.includes(0), 'the string contains NUL');
}
