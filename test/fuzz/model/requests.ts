/**
 * A model of the transmission phase: derives from everything that a client sends
 * the replies that each request may get, and what the disk may hold. Shares no code
 * with lib/.
 */
import { cmd, cmdFlag, err, transmission } from '../../support/numbers.js';
import { Cursor, EndOfBytes } from './cursor.js';
import type { Agreement, Ending } from './negotiation.js';
import { Journal } from './journal.js';
import { resizeCommand, type Failure } from './profiles.js';

/** A complete request, and the replies that it may get. */
export interface ExpectedReply {
  readonly cookie: bigint;
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  /** Of a BLOCK_STATUS with a list of contexts: the effect length in its payload. */
  readonly length: bigint;
  /** The error numbers that it may get. */
  readonly errors: ReadonlySet<number>;
  /** Whether success is correct. */
  readonly maySucceed: boolean;
  /** Whether the reply must arrive: not where the connection is closed right after it. */
  readonly required: boolean;
  /** How the disk fails it, if it does. */
  readonly failure: Failure | undefined;
  /** The metadata contexts of a BLOCK_STATUS. */
  readonly contextIds: readonly number[];
  /** Number of changes of the disk that were requested before. */
  readonly changesBefore: number;
  /** The size of the disk at that time. */
  readonly size: bigint;
}

export interface Transmission {
  readonly expected: readonly ExpectedReply[];
  readonly journal: Journal;
  readonly ending: Ending;
  /** Bytes consumed. */
  readonly length: number;
  /** The final size of the disk. */
  readonly size: bigint;
}

const simpleMagic = 0x25609513;
const extendedMagic = 0x21e41c71;
/** "Any payload not exceeding 2^25 bytes SHOULD NOT be considered a denial of service attack". */
const payloadBytesTolerated = 2n ** 25n;
/** Provisioning more zeros may fill the memory of `resizable`. */
const provisionedMax = 512n * 1024n;

type Header = Pick<ExpectedReply, 'cookie' | 'type' | 'flags' | 'offset' | 'length'>;

const writing: readonly number[] = [cmd.write, cmd.trim, cmd.writeZeroes, resizeCommand];

/** Read the requests in `bytes` from `at` on. `stopping`: any may fail with ESHUTDOWN. */
export function readRequests(
  bytes: Buffer,
  at: number,
  agreed: Agreement,
  stopping = false,
): Transmission {
  const reader = new RequestReader(new Cursor(bytes, at), agreed, stopping);
  const ending = reader.run();
  const { expected, journal, size, cursor } = reader;
  return { expected, journal, ending, size, length: cursor.at };
}

class RequestReader {
  readonly expected: ExpectedReply[] = [];
  readonly journal: Journal;
  readonly cursor: Cursor;
  size: bigint;
  /** Memory may have run out. */
  private exhausted = false;
  private resized = false;
  private readonly agreement: Agreement;
  private readonly extended: boolean;
  private readonly stopping: boolean;

  constructor(cursor: Cursor, agreed: Agreement, stopping: boolean) {
    this.cursor = cursor;
    this.agreement = agreed;
    this.stopping = stopping;
    this.extended = agreed.headers === 'extended';
    this.journal = new Journal(agreed.profile.base);
    this.size = BigInt(agreed.profile.base.length);
  }

  run(): Ending {
    try {
      for (;;) {
        const ending = this.readOne();
        if (ending !== undefined) return ending;
      }
    } catch (error) {
      if (error instanceof EndOfBytes) return 'open';
      throw error;
    }
  }

  private readOne(): Ending | undefined {
    const { cursor } = this;
    const start = cursor.at;
    cursor.take(this.extended ? 32 : 28);
    cursor.at = start;
    if (cursor.u32() !== (this.extended ? extendedMagic : simpleMagic)) return 'broken';
    const flags = cursor.u16();
    const type = cursor.u16();
    const cookie = cursor.u64();
    const offset = cursor.u64();
    const length = this.extended ? cursor.u64() : BigInt(cursor.u32());
    const header = { flags, type, cookie, offset, length };
    if (type === cmd.disc) return 'left';
    // QEMU's client omits the flag, and ignoring the payload of a WRITE would break the framing.
    const flagged = this.extended && (flags & cmdFlag.payloadLen) !== 0;
    const hasPayload = type === cmd.write || flagged;
    const errors = this.errorsOf(header);
    if (!hasPayload) {
      this.addRequest(header, errors, undefined);
      return undefined;
    }
    if (length > payloadBytesTolerated) {
      this.add(header, errors, [], undefined, false);
      return 'broken';
    }
    const payload = this.payload(header, errors);
    if (type === cmd.blockStatus && errors.size === 0) this.addContextList(header, payload);
    else this.addRequest(header, errors, payload);
    return undefined;
  }

  /** The bytes of an incomplete payload may be on the disk already. */
  private payload({ offset, length }: Header, errors: ReadonlySet<number>): Buffer {
    const { cursor } = this;
    try {
      return cursor.take(Number(length));
    } catch (error) {
      if (errors.size === 0) this.change(offset, length, cursor.rest(), false);
      throw error;
    }
  }

  private addRequest(header: Header, errors: Set<number>, payload: Buffer | undefined): void {
    const contextIds = this.agreement.contexts.map((_, index) => index + 1);
    this.add(header, errors, contextIds, payload);
  }

  /** "C: 64 bits, effect length" and the ids of the contexts. */
  private addContextList(header: Header, payload: Buffer): void {
    const length = payload.readBigUInt64BE(0);
    const ids: number[] = [];
    for (let at = 8; at < payload.length; at += 4) ids.push(payload.readUInt32BE(at));
    const known = ids.every((id) => id >= 1 && id <= this.agreement.contexts.length);
    const effect = { ...header, flags: header.flags & ~cmdFlag.payloadLen, length };
    const errors = this.errorsOf(effect);
    if (!known || new Set(ids).size < ids.length) errors.add(err.EINVAL);
    this.add(effect, errors, ids, undefined);
  }

  private add(
    header: Header,
    errors: Set<number>,
    contextIds: readonly number[],
    payload: Buffer | undefined,
    required = true,
  ): void {
    const changesBefore = this.agreement.profile.inOrder ? this.journal.changes.length : 0;
    const { size } = this;
    const failure = errors.size === 0 ? this.failureOf(header) : undefined;
    const maySucceed = errors.size === 0 && failure === undefined;
    if (failure !== undefined) errors.add(failure.error);
    const mayRunOut = maySucceed && this.mayRunOut(header);
    if (mayRunOut) errors.add(err.ENOMEM);
    if (maySucceed) this.effect(header, payload, !mayRunOut && !this.stopping);
    if (this.stopping) errors.add(err.ESHUTDOWN);
    const answer = { errors, maySucceed, required, failure };
    this.expected.push({ ...header, ...answer, contextIds, changesBefore, size });
  }

  private failureOf({ type, offset, length, flags }: Header): Failure | undefined {
    // A request of no bytes never reaches the disk.
    if (length === 0n) return undefined;
    return this.agreement.profile.failure?.({
      type,
      offset: Number(offset),
      length: Number(length),
      fast: (flags & cmdFlag.fastZero) !== 0,
    });
  }

  private mayRunOut({ type, flags, length }: Header): boolean {
    if (this.agreement.profile.name !== 'resizable') return false;
    const provisions = type === cmd.writeZeroes && (flags & cmdFlag.noHole) !== 0;
    if (provisions && length > provisionedMax) this.exhausted = true;
    return this.exhausted && (provisions || type === cmd.write);
  }

  private effect(
    { type, offset, length }: Header,
    payload: Buffer | undefined,
    sure: boolean,
  ): void {
    if (type === cmd.write) this.change(offset, length, payload, sure);
    if (type === cmd.writeZeroes) this.change(offset, length, undefined, sure);
    // A hint, which the disk may ignore.
    if (type === cmd.trim) this.change(offset, length, undefined, false);
    if (type !== resizeCommand) return;
    this.resized = true;
    if (offset < this.size) this.change(offset, this.size - offset, undefined, sure);
    this.size = offset;
  }

  private change(offset: bigint, length: bigint, data: Buffer | undefined, sure: boolean): void {
    const start = Number(offset);
    const certain = sure && this.agreement.profile.inOrder;
    const end = start + (data === undefined ? Number(length) : data.length);
    this.journal.add({ start, end, data, certain });
  }

  /** All errors of a request; the server may report any of them. */
  private errorsOf(header: Header): Set<number> {
    const { type, flags, offset, length } = header;
    const errors = new Set<number>();
    const readOnly = (this.agreement.flags & transmission.readOnly) !== 0;
    if (readOnly && writing.includes(type)) errors.add(err.EPERM);
    const allowed = this.allowedFlags(type);
    if (allowed === undefined) {
      // Of RESIZE: "EPERM: server configuration does not allow".
      const forbidden = type === resizeCommand && this.agreement.profile.hasResize;
      if (errors.size === 0) errors.add(forbidden ? err.EPERM : err.EINVAL);
      return errors;
    }
    if ((flags & ~allowed) !== 0) errors.add(err.EINVAL);
    const withList = type === cmd.blockStatus && (flags & cmdFlag.payloadLen) !== 0;
    if (type === cmd.flush) {
      if (offset !== 0n || length !== 0n) errors.add(err.EINVAL);
    } else if (type === resizeCommand) {
      if (length !== 0n) errors.add(err.EINVAL);
      if (offset >= 2n ** 53n) errors.add(err.ENOSPC);
    } else if (withList) {
      const ids = (length - 8n) / 4n;
      const whole = length >= 12n && (length - 8n) % 4n === 0n;
      if (!whole || ids > this.agreement.contexts.length) errors.add(err.EINVAL);
    } else {
      this.rangeErrors(header, errors);
    }
    return errors;
  }

  private rangeErrors({ type, offset, length }: Header, errors: Set<number>): void {
    const { minimum, maximum } = this.agreement.profile;
    if (offset + length > this.size) {
      const writes = type === cmd.write || type === cmd.writeZeroes;
      errors.add(writes ? err.ENOSPC : err.EINVAL);
      // "Requests beyond the new size but not beyond the old one MUST fail with ENOSPC".
      if (this.resized) errors.add(err.ENOSPC);
    }
    const block = BigInt(minimum);
    if (offset % block !== 0n || length % block !== 0n) errors.add(err.EINVAL);
    if (type === cmd.blockStatus && length === 0n) errors.add(err.EINVAL);
    if (type === cmd.read && length > maximum) {
      errors.add(this.agreement.headers === 'simple' ? err.EINVAL : err.EOVERFLOW);
    }
    if (type === cmd.write && length > maximum) errors.add(err.EINVAL);
  }

  /** Flags that a command may have; undefined for a command that was not advertised. */
  private allowedFlags(type: number): number | undefined {
    const t = transmission;
    const has = (flag: number): boolean => (this.agreement.flags & flag) !== 0;
    // "MUST accept all commands with this bit set (even by ignoring the bit)".
    const fua = has(t.sendFua) ? cmdFlag.fua : 0;
    switch (type) {
      case cmd.read:
        return fua | (has(t.sendDf) ? cmdFlag.df : 0);
      case cmd.write:
        return has(t.readOnly) ? undefined : fua | (this.extended ? cmdFlag.payloadLen : 0);
      case cmd.flush:
        return has(t.sendFlush) ? fua : undefined;
      case cmd.trim:
        return has(t.sendTrim) ? fua : undefined;
      case cmd.cache:
        return has(t.sendCache) ? fua : undefined;
      case cmd.writeZeroes: {
        const fast = has(t.sendFastZero) ? cmdFlag.fastZero : 0;
        return has(t.sendWriteZeroes) ? fua | cmdFlag.noHole | fast : undefined;
      }
      case cmd.blockStatus: {
        const payload = has(t.blockStatusPayload) ? cmdFlag.payloadLen : 0;
        return this.agreement.contexts.length > 0 ? fua | cmdFlag.reqOne | payload : undefined;
      }
      case resizeCommand:
        return has(1 << 9) ? fua : undefined;
      default:
        return undefined;
    }
  }
}
