/**
 * Parses replies, skipping their payload. Owns the bytes of a header that arrived
 * in two reads. Hot path: no allocation, no BigInt.
 */
import { ChunkFlag, ChunkType, magic } from '../../lib/wire/constants.js';
import {
  extendedReplyBytes,
  simpleReplyBytes,
  structuredReplyBytes,
} from '../../lib/wire/reply.js';
import { readUint64 } from '../../lib/wire/uint64.js';
import type { HeaderKind } from '../results.js';

const headerBytesOf = {
  simple: simpleReplyBytes,
  structured: structuredReplyBytes,
  extended: extendedReplyBytes,
} as const;
const magicOf = {
  simple: magic.simpleReply,
  structured: magic.structuredReply,
  extended: magic.extendedReply,
} as const;

/** An error chunk has this bit: "Structured reply types". */
const errorBit = 0x8000;

export interface Expecting {
  /** Payload of a simple reply without an error; other replies have a length field. */
  readonly payloadBytesOf: (slot: number) => number;
  /** The reply to the request in that slot is here, to its last byte. */
  readonly answered: (slot: number) => void;
}

export class Replies {
  private readonly headers: HeaderKind;
  private readonly headerBytes: number;
  private readonly magic: number;
  private readonly statusBytes: number;
  private readonly expecting: Expecting;
  private readonly carry = new Uint8Array(extendedReplyBytes);
  private readonly carryView = new DataView(this.carry.buffer);
  private carried = 0;
  private skip = 0;
  /** Whose payload is being skipped; -1 where more chunks follow. */
  private slot = -1;

  /** `statusBytes` is how long the chunk of a BLOCK_STATUS must be. */
  constructor(headers: HeaderKind, statusBytes: number, expecting: Expecting) {
    this.headers = headers;
    this.headerBytes = headerBytesOf[headers];
    this.magic = magicOf[headers];
    this.statusBytes = statusBytes;
    this.expecting = expecting;
  }

  /** @throws Error for what is no reply, or one that says that a request failed. */
  receive(bytes: Uint8Array, view: DataView, end: number): void {
    let at = 0;
    if (this.carried > 0) {
      at = this.complete(bytes, end);
      if (at < 0) return;
    }
    for (;;) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, end - at);
        at += skipped;
        this.skip -= skipped;
        if (this.skip > 0) return;
      }
      if (this.slot >= 0) {
        const { slot } = this;
        this.slot = -1;
        this.expecting.answered(slot);
      }
      if (end - at < simpleReplyBytes || end - at < this.bytesAt(view, at)) break;
      const headerBytes = this.bytesAt(view, at);
      this.header(view, at);
      at += headerBytes;
    }
    this.carry.set(bytes.subarray(at, end));
    this.carried = end - at;
  }

  /** The rest of a header whose beginning is in `carry`: bytes used, -1 where that is not all. */
  private complete(bytes: Uint8Array, end: number): number {
    let at = 0;
    for (;;) {
      const { carried } = this;
      const wanted =
        carried < simpleReplyBytes ? simpleReplyBytes : this.bytesAt(this.carryView, 0);
      if (carried >= wanted) break;
      const taken = Math.min(wanted - carried, end - at);
      if (taken === 0) return -1;
      this.carry.set(bytes.subarray(at, at + taken), carried);
      this.carried += taken;
      at += taken;
    }
    this.carried = 0;
    this.header(this.carryView, 0);
    return at;
  }

  /** A reply without payload may be simple: "Structured reply chunk message". */
  private bytesAt(view: DataView, at: number): number {
    return view.getUint32(at) === magic.simpleReply ? simpleReplyBytes : this.headerBytes;
  }

  /** Sets `slot` and `skip`. The cookie's lower half is the slot. */
  private header(view: DataView, at: number): void {
    const found = view.getUint32(at);
    const isSimple = found === magic.simpleReply && this.headers !== 'extended';
    if (found !== this.magic && !isSimple) throw new Error('A reply has an invalid magic.');
    const slot = view.getUint32(at + 12);
    if (isSimple) {
      const error = view.getUint32(at + 4);
      if (error !== 0) throw new Error(`A request failed with error ${error}.`);
      this.slot = slot;
      this.skip = this.expecting.payloadBytesOf(slot);
      return;
    }
    const type = view.getUint16(at + 6);
    const extended = this.headers === 'extended';
    const length = extended ? readUint64(view, at + 24) : view.getUint32(at + 16);
    if ((type & errorBit) !== 0) throw new Error('A request failed.');
    const isStatus = type === ChunkType.blockStatus || type === ChunkType.blockStatusExtended;
    if (isStatus && length !== this.statusBytes) {
      throw new Error(
        `The server reports other extents than were written: ${length} bytes of them, ` +
          `not ${this.statusBytes}.`,
      );
    }
    this.slot = (view.getUint16(at + 4) & ChunkFlag.done) === 0 ? -1 : slot;
    this.skip = length;
  }
}
