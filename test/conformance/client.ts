/**
 * A client for servers of any kind: it takes whatever the specification
 * allows, and fails on what it forbids wherever that occurs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  goData,
  optionBytes,
  requestBytes,
  type Headers,
  type OptionReply,
  type RequestFields,
} from '../support/byte-client.js';
import { cmd, info, opt, rep, u32 } from '../support/numbers.js';
import type { Certificate } from '../support/tls.js';
import { contextData, parseStatus, type Status } from '../support/status.js';

/** The server lacks something that it need not have. */
export class NotOffered extends Error {}

/** What every server here calls its export. */
export const exportName = 'disk';

interface Chunk {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

export interface Reply {
  readonly cookie: bigint;
  /** Nothing for a simple reply. */
  readonly chunks: readonly Chunk[] | undefined;
  /** 0 is success. */
  readonly error: number;
  readonly data: Buffer;
  readonly status: readonly Status[];
}

interface Request extends RequestFields {
  readonly chunks: Chunk[];
}

export interface Described {
  readonly size: bigint;
  readonly flags: number;
  readonly blockSize: { minimum: number; preferred: number; maximum: number } | undefined;
}

const magic = { simple: 0x67446698, structured: 0x668e33ef, extended: 0x6e8a278c };
const headerBytes = { simple: 16, structured: 20, extended: 32 };

export class Client {
  headers: Headers = 'simple';
  /** Of the contexts that were selected, in the order of their names. */
  contextIds: number[] = [];
  private socket: Socket;
  private readonly certified: Certificate | undefined;
  private received: Buffer[] = [];
  private count = 0;
  private closed = false;
  private wake: () => void = () => undefined;
  private readonly outstanding = new Map<bigint, Request>();
  private lastCookie = 0x5a5a000000000000n;

  private constructor(socket: Socket, certified: Certificate | undefined) {
    this.socket = socket;
    this.certified = certified;
    this.listen();
  }

  /** `certified`: what the client shows of itself within TLS. */
  static async connect(path: string, certified?: Certificate): Promise<Client> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new Client(socket, certified);
  }

  private listen(): void {
    const { socket } = this;
    socket.on('data', (bytes: Buffer) => {
      this.received.push(bytes);
      this.count += bytes.length;
      this.wake();
    });
    socket.on('error', () => undefined); // a reset is followed by 'close'
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  /** NBD_OPT_STARTTLS, which must succeed: from here on everything is within TLS. */
  async startTls(): Promise<void> {
    assert.equal(await this.finalReply(opt.startTls), rep.ack);
    // Who the server is, is of no interest here.
    const socket = connectTls({
      ...this.certified,
      socket: this.socket,
      rejectUnauthorized: false,
    });
    await Promise.race([once(socket, 'secureConnect'), closing(socket)]);
    this.socket = socket;
    this.listen();
  }

  disconnect(): void {
    this.socket.destroy();
  }

  send(...pieces: Uint8Array[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  async take(count: number): Promise<Buffer> {
    while (this.count < count) {
      assert.ok(!this.closed, 'the server closed the connection');
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const [first = Buffer.alloc(0)] = this.received;
    const all = this.received.length > 1 ? Buffer.concat(this.received) : first;
    this.received = [all.subarray(count)];
    this.count -= count;
    return all.subarray(0, count);
  }

  /** That the server closes the connection, and says nothing before. */
  async expectClosed(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => (this.wake = resolve));
    assert.equal(this.count, 0, 'the server sent data before it closed the connection');
  }

  /** The handshake flags, answered with the client's. */
  async greet(flags = 3): Promise<number> {
    const greeting = await this.take(18);
    assert.equal(greeting.toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT');
    this.send(u32(flags));
    return greeting.readUInt16BE(16);
  }

  async option(type: number, data?: Uint8Array): Promise<OptionReply[]> {
    this.send(optionBytes(type, data));
    return this.optionReplies(type);
  }

  async optionReplies(option: number): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const header = await this.take(20);
      assert.equal(header.readBigUInt64BE(0), 0x3e889045565a9n, 'the magic of an option reply');
      assert.equal(header.readUInt32BE(8), option, 'the option that is replied to');
      const type = header.readUInt32BE(12);
      const data = await this.take(header.readUInt32BE(16));
      replies.push({ type, data });
      if (type === rep.ack) assert.equal(data.length, 0, 'NBD_REP_ACK has no data');
      if (type >= 0x80000000) {
        assert.ok(data.length <= 4096, 'a string has at most 4096 bytes');
        assert.ok(!data.includes(0), 'a string has no NUL');
      }
      if (type === rep.ack || type >= 0x80000000) return replies;
    }
  }

  /** The type of the final reply. */
  async finalReply(type: number, data?: Uint8Array): Promise<number> {
    return (await this.option(type, data)).at(-1)?.type ?? 0;
  }

  /** The same for an option to which the server may close the connection. */
  async finalReplyOrClosed(type: number, data?: Uint8Array): Promise<number | 'closed'> {
    try {
      return await this.finalReply(type, data);
    } catch (error) {
      if (this.closed) return 'closed';
      throw error;
    }
  }

  /** NBD_OPT_INFO or NBD_OPT_GO, which must succeed. */
  async describe(option: number, wanted: readonly number[] = []): Promise<Described> {
    const replies = await this.option(option, goData(exportName, wanted));
    assert.equal(replies.at(-1)?.type, rep.ack);
    const infos = replies.filter(({ type }) => type === rep.info).map(({ data }) => data);
    const [data, ...others] = infos.filter((bytes) => bytes.readUInt16BE(0) === info.export);
    assert.ok(data?.length === 12 && others.length === 0, 'one NBD_INFO_EXPORT of 12 bytes');
    const sizes = infos.find((bytes) => bytes.readUInt16BE(0) === info.blockSize);
    assert.ok(sizes === undefined || sizes.length === 14, 'NBD_INFO_BLOCK_SIZE has 14 bytes');
    return {
      size: data.readBigUInt64BE(2),
      flags: data.readUInt16BE(10),
      blockSize: sizes && {
        minimum: sizes.readUInt32BE(2),
        preferred: sizes.readUInt32BE(6),
        maximum: sizes.readUInt32BE(10),
      },
    };
  }

  /** Negotiate headers. @throws NotOffered where the server does not have them. */
  async negotiateHeaders(headers: Headers): Promise<void> {
    this.headers = headers;
    if (headers === 'simple') return;
    const type = headers === 'extended' ? opt.extendedHeaders : opt.structuredReply;
    if ((await this.finalReply(type)) !== rep.ack) throw new NotOffered(`no ${headers} headers`);
  }

  /** From the greeting into the transmission phase. */
  async open(headers: Headers = 'simple', contexts: readonly string[] = []): Promise<Described> {
    await this.greet();
    await this.negotiateHeaders(headers);
    if (contexts.length > 0) await this.setMetaContexts(contexts);
    return this.describe(opt.go, [info.blockSize]);
  }

  /** NBD_OPT_SET_META_CONTEXT, with contexts that every server has if it has any. */
  async setMetaContexts(contexts: readonly string[]): Promise<void> {
    const replies = await this.option(opt.setMetaContext, contextData(exportName, contexts));
    const final = replies.pop()?.type;
    if (final === rep.errUnsup) throw new NotOffered('no metadata contexts');
    assert.equal(final, rep.ack);
    const ids = new Map(replies.map(({ data }) => [data.toString('utf8', 4), data.readUInt32BE()]));
    assert.deepEqual([...ids.keys()].sort(), [...contexts].sort());
    this.contextIds = contexts.map((context) => ids.get(context) ?? 0);
  }

  request(fields: RequestFields): bigint {
    const asked = this.expectReply(fields);
    this.send(requestBytes(this.headers, asked));
    return asked.cookie;
  }

  /** Expect the reply to a request that the caller sends. */
  expectReply<Fields extends RequestFields>(fields: Fields): Fields & { cookie: bigint } {
    const cookie = fields.cookie ?? (this.lastCookie += 0x10101n);
    this.outstanding.set(cookie, { ...fields, chunks: [] });
    return { ...fields, cookie };
  }

  async call(fields: RequestFields): Promise<Reply> {
    const cookie = this.request(fields);
    const reply = await this.reply();
    assert.equal(reply.cookie, cookie);
    return reply;
  }

  /** The next complete reply, to any request. */
  async reply(): Promise<Reply> {
    const reply = await this.framedReply();
    return typeof reply === 'bigint' ? this.completeReply(reply) : reply;
  }

  /** Receive a reply whose content is unspecified: only its framing is checked. */
  async skipReply(): Promise<void> {
    const reply = await this.framedReply();
    if (typeof reply === 'bigint') this.takeRequest(reply);
  }

  /** A simple reply, or the cookie of a request all chunks of whose reply have arrived. */
  private async framedReply(): Promise<Reply | bigint> {
    for (;;) {
      const header = await this.take(4);
      const number = header.readUInt32BE();
      if (number === magic.simple) return this.simpleReply();
      assert.notEqual(this.headers, 'simple', `the magic of a reply: 0x${number.toString(16)}`);
      assert.equal(number, magic[this.headers], 'the magic of a reply');
      const cookie = await this.chunk();
      if (cookie !== undefined) return cookie;
    }
  }

  /** The same for a request that the server may answer by closing the connection. */
  async replyOrClosed(): Promise<Reply | 'closed'> {
    try {
      return await this.reply();
    } catch (error) {
      if (this.closed) return 'closed';
      throw error;
    }
  }

  private async simpleReply(): Promise<Reply> {
    const rest = await this.take(headerBytes.simple - 4);
    const error = rest.readUInt32BE(0);
    const { cookie, request } = this.takeRequest(rest.readBigUInt64BE(4));
    assert.notEqual(this.headers, 'extended', 'a simple reply where headers are extended');
    const { type, length = 0 } = request;
    const isRead = type === cmd.read;
    assert.ok(!isRead || this.headers === 'simple', 'a simple reply to a READ');
    const data = await this.take(isRead && error === 0 ? Number(length) : 0);
    return { cookie, chunks: undefined, error, data, status: [] };
  }

  /** Receive a chunk. Returns the cookie where it is the last one. */
  private async chunk(): Promise<bigint | undefined> {
    const extended = this.headers === 'extended';
    const rest = await this.take(headerBytes[this.headers] - 4);
    const cookie = rest.readBigUInt64BE(4);
    const request = this.outstanding.get(cookie);
    assert.ok(request !== undefined, 'a reply to no request');
    const offset = BigInt(request.offset ?? 0);
    if (extended) assert.equal(rest.readBigUInt64BE(12), offset, 'the offset of the request');
    const length = extended ? Number(rest.readBigUInt64BE(20)) : rest.readUInt32BE(12);
    const flags = rest.readUInt16BE(0);
    request.chunks.push({ flags, type: rest.readUInt16BE(2), payload: await this.take(length) });
    assert.equal(flags & ~1, 0, 'NBD_REPLY_FLAG_DONE is the only flag');
    return flags === 1 ? cookie : undefined;
  }

  private completeReply(of: bigint): Reply {
    const { cookie, request } = this.takeRequest(of);
    const { chunks } = request;
    const failure = chunks.find(({ type }) => type >= 0x8000);
    const error = failure?.payload.readUInt32BE(0) ?? 0;
    if (failure !== undefined) {
      assert.notEqual(error, 0, 'the error of an error chunk is not 0');
      const after = failure.type === 0x8002 ? 8 : 0;
      assert.equal(failure.payload.readUInt16BE(4), failure.payload.length - 6 - after);
    }
    const status = chunks
      .filter(({ type }) => type === 5 || type === 6)
      .map(({ type, payload }) => {
        assert.equal(type, this.headers === 'extended' ? 6 : 5, 'the type of a status chunk');
        return parseStatus(type, payload, request);
      });
    const data = request.type === cmd.read ? contentOf(request, error === 0) : Buffer.alloc(0);
    return { cookie, chunks, error, data, status };
  }

  private takeRequest(cookie: bigint): { cookie: bigint; request: Request } {
    const request = this.outstanding.get(cookie);
    assert.ok(request !== undefined, 'a reply to no request');
    this.outstanding.delete(cookie);
    return { cookie, request };
  }
}

/** Rejects when a connection ends before its TLS handshake has. */
async function closing(socket: Socket): Promise<never> {
  await once(socket, 'close');
  throw new Error('the server closed the connection within the TLS handshake');
}

/** The content chunks of a READ put together: within the request, and each byte once. */
function contentOf(request: Request, whole: boolean): Buffer {
  const length = Number(request.length ?? 0);
  const data = Buffer.alloc(length);
  const seen = Buffer.alloc(length);
  for (const { type, payload } of request.chunks) {
    if (type !== 1 && type !== 2) continue;
    const start = Number(payload.readBigUInt64BE(0) - BigInt(request.offset ?? 0));
    const bytes = type === 1 ? payload.subarray(8) : Buffer.alloc(payload.readUInt32BE(8));
    assert.ok(bytes.length > 0 || length === 0, 'a content chunk has at least one byte');
    assert.ok(start >= 0 && start + bytes.length <= length, 'a content chunk outside the request');
    const overlaps = seen.subarray(start, start + bytes.length).includes(1);
    assert.ok(!overlaps, 'content chunks overlap');
    seen.fill(1, start, start + bytes.length);
    data.set(bytes, start);
  }
  if (whole) assert.ok(!seen.includes(0), 'content is missing');
  return data;
}
