/**
 * Writes replies with the negotiated kind of headers. Payloads are sent from the
 * memory that the backend returned, without a copy; a successful reply allocates
 * nothing.
 */
import type { Bytes, Slice } from '../backend/backend.js';
import { isZeroPiece, zeroPage } from '../backend/zeros.js';
import type { Lease, Sender } from '../transport/sender.js';
import { ChunkFlag, ChunkType, CommandFlag } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import {
  extendedReplyBytes,
  simpleReplyBytes,
  structuredReplyBytes,
  writeExtendedReply,
  writeSimpleReply,
  writeStructuredReply,
} from '../wire/reply.js';
import type { Request } from '../wire/request.js';
import { writeUint64 } from '../wire/uint64.js';

const encoder = new TextEncoder();

/** NBD_REPLY_TYPE_OFFSET_DATA begins with the 64-bit offset of its data. */
const dataOffsetBytes = 8;
/** NBD_REPLY_TYPE_OFFSET_HOLE: the 64-bit offset and the 32-bit size of the hole. */
const holeFieldsBytes = 12;
/** Fewer zeros are sent as data: a hole splits the data around it into chunks with headers of their own. */
const holeBytesMin = 512;
/** NBD_REPLY_TYPE_ERROR begins with the 32-bit error and the 16-bit length of the message. */
const errorFieldsBytes = 6;
/** NBD_REPLY_TYPE_ERROR_OFFSET ends with the 64-bit offset of the failure. */
const errorOffsetBytes = 8;

/** Why and where a request failed after it was partly done: `at` is the offset of the first failed byte. */
export interface Failure {
  readonly number: number;
  readonly text: string;
  readonly at: number;
}

export class ReplyWriter {
  private readonly sender: Sender;
  private readonly kind: HeaderKind;

  constructor(sender: Sender, kind: HeaderKind) {
    this.sender = sender;
    this.kind = kind;
  }

  /** Success without data. All methods return what `Sender.endMessage` does: false to wait until it has drained. */
  done(request: Request): boolean {
    if (this.kind === HeaderKind.simple) return this.simple(request, 0);
    this.chunk(request, ChunkFlag.done, ChunkType.none, 0, 0);
    return this.sender.endMessage();
  }

  /** The data of a READ: `bytes` must be as long as requested. `lease` is released when they have left. */
  data(request: Request, bytes: Bytes, lease?: Lease): boolean {
    this.content(request, bytes, request.length, ChunkFlag.done);
    if (lease !== undefined) this.sender.releaseWhenSent(lease);
    return this.sender.endMessage();
  }

  get sendsMappings(): boolean {
    return this.sender.sendsMappings;
  }

  /** The data of a READ from one place in memory, or in a mapped file. */
  slice(request: Request, slice: Slice): boolean {
    const { offset, length } = request;
    if (slice.mapped !== undefined) {
      this.dataHeader(request, offset, length, ChunkFlag.done);
      this.sender.appendMapping(slice.mapped, slice.start, length);
    } else if (slice.memory === zeroPage && length >= holeBytesMin && this.mayFragment(request)) {
      this.hole(request, offset, length, ChunkFlag.done);
    } else {
      this.dataHeader(request, offset, length, ChunkFlag.done);
      this.sender.append(slice.memory, slice.start, length);
    }
    return this.sender.endMessage();
  }

  /** The reply to a BLOCK_STATUS: a chunk for each of `payloads`. */
  status(request: Request, payloads: readonly Uint8Array[]): boolean {
    const extended = this.kind === HeaderKind.extended;
    const type = extended ? ChunkType.blockStatusExtended : ChunkType.blockStatus;
    for (const [index, payload] of payloads.entries()) {
      const flags = index === payloads.length - 1 ? ChunkFlag.done : 0;
      this.chunk(request, flags, type, payload.length, 0);
      this.sender.append(payload);
    }
    return this.sender.endMessage();
  }

  /** `text` is for people; simple replies have no room for it. */
  error(request: Request, error: number, text: string): boolean {
    if (this.kind === HeaderKind.simple) return this.simple(request, error);
    const message = encoder.encode(text);
    this.errorChunk(request, ChunkType.error, error, message, 0);
    this.sender.append(message);
    return this.sender.endMessage();
  }

  /**
   * A request that failed after a part of it. `data` was read before: "the client
   * MAY assume [that chunks with] overlapping error offset errors are valid up
   * until the reported offset" (NBD_CMD_READ).
   */
  partial(request: Request, data: Bytes | undefined, failure: Failure): boolean {
    if (this.kind === HeaderKind.simple) return this.simple(request, failure.number);
    const doneBytes = failure.at - request.offset;
    if (data !== undefined && doneBytes > 0) this.content(request, data, doneBytes, 0);
    const message = encoder.encode(failure.text);
    this.errorChunk(request, ChunkType.errorOffset, failure.number, message, errorOffsetBytes);
    this.sender.append(message);
    const at = this.sender.header(errorOffsetBytes);
    writeUint64(this.sender.headers, at, failure.at);
    return this.sender.endMessage();
  }

  /** NBD_CMD_FLAG_DF: "the server MUST send at most one content chunk", including holes. */
  private mayFragment({ flags }: Request): boolean {
    return this.kind !== HeaderKind.simple && (flags & CommandFlag.df) === 0;
  }

  /** `length` bytes from the request's offset, in chunks; the last one has `lastFlags`. */
  private content(request: Request, bytes: Bytes, length: number, lastFlags: number): void {
    if (this.mayFragment(request)) {
      const pieces = bytes instanceof Uint8Array ? [bytes] : bytes;
      this.fragments(request, pieces, length, lastFlags);
      return;
    }
    this.dataHeader(request, request.offset, length, lastFlags);
    if (bytes instanceof Uint8Array) this.sender.append(bytes);
    else for (const piece of bytes) this.sender.append(piece);
  }

  /** A chunk for each run of data and each hole in `pieces`. */
  private fragments(
    request: Request,
    pieces: readonly Uint8Array[],
    length: number,
    lastFlags: number,
  ): void {
    const end = request.offset + length;
    let offset = request.offset;
    for (let first = 0; first < pieces.length;) {
      const isHole = isHolePiece(pieces[first]);
      let bytes = 0;
      let next = first;
      for (; next < pieces.length; next++) {
        const piece = pieces[next];
        // Empty pieces do not end a run.
        if (piece?.length !== 0 && isHolePiece(piece) !== isHole) break;
        bytes += piece?.length ?? 0;
      }
      const flags = offset + bytes === end ? lastFlags : 0;
      if (isHole) this.hole(request, offset, bytes, flags);
      else if (bytes > 0) {
        this.dataHeader(request, offset, bytes, flags);
        for (const piece of pieces.slice(first, next)) this.sender.append(piece);
      }
      offset += bytes;
      first = next;
    }
  }

  private hole(request: Request, offset: number, bytes: number, flags: number): void {
    const at = this.chunk(request, flags, ChunkType.offsetHole, holeFieldsBytes, holeFieldsBytes);
    const { headers } = this.sender;
    writeUint64(headers, at, offset);
    headers.setUint32(at + 8, bytes);
  }

  /** The beginning of an error chunk; `message` and `moreBytes` of further fields follow. */
  private errorChunk(
    request: Request,
    type: number,
    error: number,
    message: Uint8Array,
    moreBytes: number,
  ): void {
    const bytes = errorFieldsBytes + message.byteLength + moreBytes;
    const at = this.chunk(request, ChunkFlag.done, type, bytes, errorFieldsBytes);
    const { headers } = this.sender;
    headers.setUint32(at, error);
    headers.setUint16(at + 4, message.byteLength);
  }

  private dataHeader(request: Request, offset: number, bytes: number, flags: number): void {
    const { sender } = this;
    if (this.kind === HeaderKind.simple) {
      const at = sender.header(simpleReplyBytes);
      writeSimpleReply(sender.headers, at, request, 0);
      return;
    }
    const length = dataOffsetBytes + bytes;
    const at = this.chunk(request, flags, ChunkType.offsetData, length, dataOffsetBytes);
    writeUint64(sender.headers, at, offset);
  }

  private simple(request: Request, error: number): boolean {
    const { sender } = this;
    const at = sender.header(simpleReplyBytes);
    writeSimpleReply(sender.headers, at, request, error);
    return sender.endMessage();
  }

  /** Write a chunk's header; returns the position of the `fieldsBytes` reserved after it. */
  private chunk(
    request: Request,
    flags: number,
    type: number,
    payloadBytes: number,
    fieldsBytes: number,
  ): number {
    const { sender } = this;
    if (this.kind === HeaderKind.extended) {
      const at = sender.header(extendedReplyBytes + fieldsBytes);
      writeExtendedReply(sender.headers, at, request, flags, type, payloadBytes);
      return at + extendedReplyBytes;
    }
    const at = sender.header(structuredReplyBytes + fieldsBytes);
    writeStructuredReply(sender.headers, at, request, flags, type, payloadBytes);
    return at + structuredReplyBytes;
  }
}

function isHolePiece(piece: Uint8Array | undefined): boolean {
  return piece !== undefined && piece.length >= holeBytesMin && isZeroPiece(piece);
}
