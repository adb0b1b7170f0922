/**
 * A client of a hundred lines for tests that need none of another project. It
 * shares no code with lib/: every number is written out from the specification.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { TestContext } from 'node:test';

export interface Streams {
  readonly input: Readable;
  readonly output: Writable;
}

export interface Reply {
  readonly error: number;
  readonly data: Buffer;
}

export const command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4 } as const;

/** 28 bytes: "Request message". */
export function requestBytes(type: number, cookie: bigint, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

export class RawClient {
  /** Known after `choose`. */
  size = 0;
  flags = 0;
  readonly output: Writable;
  private readonly chunks: AsyncIterator<Buffer>;
  private kept: Buffer[] = [];
  private keptBytes = 0;

  constructor({ input, output }: Streams) {
    this.output = output;
    this.chunks = input[Symbol.asyncIterator]();
  }

  /** Connect to an address that a server has printed. */
  static async connect(t: TestContext, uri: string): Promise<RawClient> {
    const { protocol, hostname, port, searchParams } = new URL(uri);
    const socket =
      protocol === 'nbd+unix:'
        ? connect(searchParams.get('socket') ?? '')
        : connect(port === '' ? 10809 : Number(port), hostname.replace(/^\[|\]$/g, ''));
    t.after(() => socket.destroy());
    await once(socket, 'connect');
    return new RawClient({ input: socket, output: socket });
  }

  async take(length: number): Promise<Buffer> {
    while (this.keptBytes < length) {
      const next = await this.chunks.next();
      assert.ok(next.done !== true, 'the server has closed the connection');
      this.kept.push(next.value);
      this.keptBytes += next.value.length;
    }
    const all = Buffer.concat(this.kept);
    this.kept = [all.subarray(length)];
    this.keptBytes -= length;
    return all.subarray(0, length);
  }

  /** The server has closed, and sent nothing more before. */
  async closed(): Promise<void> {
    assert.equal(this.keptBytes, 0);
    assert.equal((await this.chunks.next()).done, true);
  }

  /** "Newstyle negotiation", with fixed newstyle and without zeroes. */
  async greet(): Promise<void> {
    const greeting = await this.take(18);
    assert.equal(greeting.toString('latin1', 0, 16), 'NBDMAGICIHAVEOPT');
    assert.equal(greeting.readUInt16BE(16), 3);
    this.output.write(Buffer.from([0, 0, 0, 3]));
  }

  /** NBD_OPT_GO, asking for NBD_INFO_BLOCK_SIZE. The error that refuses it, or undefined. */
  async choose(name = ''): Promise<number | undefined> {
    const bytes = Buffer.from(name);
    const data = Buffer.alloc(4 + bytes.length + 4);
    data.writeUInt32BE(bytes.length);
    bytes.copy(data, 4);
    data.writeUInt32BE(0x00010003, 4 + bytes.length);
    this.option(7, data);
    for (;;) {
      const { type, data: info } = await this.optionReply(7);
      if (type === 1) return undefined;
      if (type >= 2 ** 31) return type - 2 ** 31;
      if (type === 3 && info.readUInt16BE() === 0) {
        this.size = Number(info.readBigUInt64BE(2));
        this.flags = info.readUInt16BE(10);
      }
    }
  }

  /** NBD_OPT_LIST: the names. */
  async list(): Promise<string[]> {
    this.option(3, Buffer.alloc(0));
    const names: string[] = [];
    for (;;) {
      const { type, data } = await this.optionReply(3);
      if (type === 1) return names;
      assert.equal(type, 2);
      names.push(data.toString('utf8', 4, 4 + data.readUInt32BE()));
    }
  }

  async read(offset: number, length: number): Promise<Reply> {
    this.output.write(requestBytes(command.read, 1n, offset, length));
    return this.reply(length);
  }

  async write(offset: number, data: Uint8Array): Promise<Reply> {
    this.output.write(requestBytes(command.write, 1n, offset, data.length));
    this.output.write(data);
    return this.reply(0);
  }

  /** A "Simple reply message" and its payload. */
  async reply(length: number): Promise<Reply> {
    const header = await this.take(16);
    assert.equal(header.readUInt32BE(0), 0x67446698);
    assert.equal(header.readBigUInt64BE(8), 1n);
    const error = header.readUInt32BE(4);
    return { error, data: await this.take(error === 0 ? length : 0) };
  }

  disconnect(): void {
    this.output.write(requestBytes(command.disconnect, 1n, 0, 0));
  }

  private option(number: number, data: Buffer): void {
    const header = Buffer.alloc(16);
    header.write('IHAVEOPT', 'latin1');
    header.writeUInt32BE(number, 8);
    header.writeUInt32BE(data.length, 12);
    this.output.write(Buffer.concat([header, data]));
  }

  private async optionReply(option: number): Promise<{ type: number; data: Buffer }> {
    const header = await this.take(20);
    assert.equal(header.readBigUInt64BE(0), 0x3e889045565a9n);
    assert.equal(header.readUInt32BE(8), option);
    return { type: header.readUInt32BE(12), data: await this.take(header.readUInt32BE(16)) };
  }
}

/** Connected, and past the handshake. */
export async function openExport(t: TestContext, uri: string, name?: string): Promise<RawClient> {
  const client = await RawClient.connect(t, uri);
  await client.greet();
  const exportName = name ?? decodeURIComponent(new URL(uri).pathname.slice(1));
  assert.equal(await client.choose(exportName), undefined);
  return client;
}
