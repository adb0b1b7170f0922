/**
 * Replies, in the headers that were negotiated. Caller: dispatch.ts. Calls:
 * wire/reply.ts for the bytes, the transport for room and sending. Owns:
 * nothing; payloads are sent from where they lie. Hot: one path for all three
 * kinds of headers, no allocation for a reply that succeeds.
 */
import type { Slice } from '../backend/backend.js';
import type { Transport } from '../transport/transport.js';
import { ChunkFlag, ChunkType } from '../wire/constants.js';
import {
  extendedReplyBytes,
  HeaderKind,
  simpleReplyBytes,
  structuredReplyBytes,
  writeExtendedReply,
  writeSimpleReply,
  writeStructuredReply,
  writeUint64,
} from '../wire/reply.js';
import type { Request } from '../wire/request.js';

/** NBD_REPLY_TYPE_OFFSET_DATA begins with the 64-bit offset of its data. */
const dataOffsetBytes = 8;
/** NBD_REPLY_TYPE_ERROR begins with the 32-bit error and the 16-bit length of the message. */
const errorFieldsBytes = 6;

export class ReplyWriter {
  private readonly transport: Transport;
  private readonly kind: HeaderKind;

  constructor(transport: Transport, kind: HeaderKind) {
    this.transport = transport;
    this.kind = kind;
  }

  /** Success without data. False asks to wait for 'drain', here and below. */
  done(request: Request): boolean {
    if (this.kind === HeaderKind.simple) return this.simple(request, 0);
    this.chunk(request, ChunkFlag.done, ChunkType.none, 0, 0);
    return this.transport.endMessage();
  }

  /** The data of a read, whose pieces together are as long as was asked. */
  data(request: Request, bytes: Uint8Array | readonly Uint8Array[]): boolean {
    this.dataHeader(request);
    if (bytes instanceof Uint8Array) this.transport.append(bytes);
    else for (const piece of bytes) this.transport.append(piece);
    return this.transport.endMessage();
  }

  /** The data of a read, in one place. */
  slice(request: Request, slice: Slice): boolean {
    this.dataHeader(request);
    this.transport.append(slice.memory, slice.start, request.length);
    return this.transport.endMessage();
  }

  /** `text` is for people and goes where the headers have room for one. */
  error(request: Request, error: number, text: string): boolean {
    if (this.kind === HeaderKind.simple) return this.simple(request, error);
    const transport = this.transport;
    const message = Buffer.from(text);
    const at = this.chunk(
      request,
      ChunkFlag.done,
      ChunkType.error,
      errorFieldsBytes + message.byteLength,
      errorFieldsBytes,
    );
    transport.headers.setUint32(at, error);
    transport.headers.setUint16(at + 4, message.byteLength);
    transport.append(message);
    return transport.endMessage();
  }

  private dataHeader(request: Request): void {
    const transport = this.transport;
    if (this.kind === HeaderKind.simple) {
      const at = transport.header(simpleReplyBytes);
      writeSimpleReply(transport.headers, at, request, 0);
      return;
    }
    const at = this.chunk(
      request,
      ChunkFlag.done,
      ChunkType.offsetData,
      dataOffsetBytes + request.length,
      dataOffsetBytes,
    );
    writeUint64(transport.headers, at, request.offset);
  }

  private simple(request: Request, error: number): boolean {
    const transport = this.transport;
    const at = transport.header(simpleReplyBytes);
    writeSimpleReply(transport.headers, at, request, error);
    return transport.endMessage();
  }

  /** A chunk's header, and room for `fieldsBytes` behind it, whose position is returned. */
  private chunk(
    request: Request,
    flags: number,
    type: number,
    payloadBytes: number,
    fieldsBytes: number,
  ): number {
    const transport = this.transport;
    if (this.kind === HeaderKind.extended) {
      const at = transport.header(extendedReplyBytes + fieldsBytes);
      writeExtendedReply(transport.headers, at, request, flags, type, payloadBytes);
      return at + extendedReplyBytes;
    }
    const at = transport.header(structuredReplyBytes + fieldsBytes);
    writeStructuredReply(transport.headers, at, request, flags, type, payloadBytes);
    return at + structuredReplyBytes;
  }
}
