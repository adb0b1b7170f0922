/**
 * Which requests a connection may make, and why a wrong one is refused. Caller:
 * receive.ts, for every request before anything is done for it. Owns: a table
 * of the flags that each command may carry. Hot.
 */
import type { Backend } from '../backend/backend.js';
import { Command, CommandFlag, TransmissionFlag } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import type { Request } from '../wire/request.js';
import type { Agreement } from './agreement.js';
import { isFilterLength } from './block-status.js';
import { refusals, type Bounds, type Refusal } from './refusal.js';
import { clientsOf } from './sharing.js';

/** In place of flags: why a command is refused, whatever its flags. */
const notOffered = -1;
const readOnly = -2;
const stopping = -3;
/** NBD_CMD_RESIZE: "server configuration does not allow". */
const notResizable = -4;

const changing = [Command.write, Command.trim, Command.writeZeroes, Command.resize];
const commandCount = Math.max(...Object.values(Command)) + 1;

/** Flags that each command may carry: "Command flags" and "Request types". */
function allowedFlags(agreement: Agreement): Int32Array {
  const has = (flag: number): boolean => (agreement.transmissionFlags & flag) !== 0;
  const extended = agreement.headers === HeaderKind.extended;
  // "MUST accept all commands with this bit set (even by ignoring the bit)".
  const fua = has(TransmissionFlag.sendFua) ? CommandFlag.fua : 0;
  const allowed = new Int32Array(commandCount).fill(notOffered);
  allowed[Command.read] = fua | (has(TransmissionFlag.sendDf) ? CommandFlag.df : 0);
  if (has(TransmissionFlag.sendFlush)) allowed[Command.flush] = fua;
  if (has(TransmissionFlag.sendCache)) allowed[Command.cache] = fua;
  allowed[Command.write] = fua | (extended ? CommandFlag.payloadLength : 0);
  if (has(TransmissionFlag.sendTrim)) allowed[Command.trim] = fua;
  if (has(TransmissionFlag.sendWriteZeroes)) {
    const fast = has(TransmissionFlag.sendFastZero) ? CommandFlag.fastZero : 0;
    allowed[Command.writeZeroes] = fua | CommandFlag.noHole | fast;
  }
  if (agreement.contexts.length > 0) {
    const filter = has(TransmissionFlag.blockStatusPayload) ? CommandFlag.payloadLength : 0;
    allowed[Command.blockStatus] = fua | CommandFlag.reqOne | filter;
  }
  if (has(TransmissionFlag.sendResize)) allowed[Command.resize] = fua;
  else if (agreement.export.backend.resize !== undefined) allowed[Command.resize] = notResizable;
  if (has(TransmissionFlag.readOnly)) {
    for (const command of changing) {
      allowed[command] = readOnly;
    }
  }
  return allowed;
}

/** What an entry of the table says that is no flags. */
function refusalOf(allowed: number): Refusal {
  if (allowed === readOnly) return refusals.readOnly;
  if (allowed === notResizable) return refusals.notResizable;
  return allowed === stopping ? refusals.stopping : refusals.notOffered;
}

export class Rules implements Bounds {
  readonly minimumBytes: number;
  readonly requestBytesMax: number;
  readonly contextCount: number;
  private readonly allowed: Int32Array;
  private readonly backend: Backend;
  /** The largest size that the client has known: below it, ENOSPC says that the disk has shrunk. */
  private sizeKnown: number;
  private readonly chunked: boolean;

  constructor(agreement: Agreement) {
    this.allowed = allowedFlags(agreement);
    this.backend = agreement.export.backend;
    this.minimumBytes = agreement.blockSize.minimum;
    this.sizeKnown = agreement.export.backend.size;
    this.requestBytesMax = agreement.blockSize.maximum;
    this.chunked = agreement.headers !== HeaderKind.simple;
    this.contextCount = agreement.contexts.length;
  }

  /**
   * "On a server shutdown": "the error value issued in respect of [...] any
   * subsequently received requests SHOULD be NBD_ESHUTDOWN".
   */
  stop(): void {
    this.allowed.fill(stopping);
  }

  get size(): number {
    return this.backend.size;
  }

  wrongFlags({ type, flags }: Request): number {
    return flags & ~this.allowedFor(type);
  }

  /** Why the request is refused; undefined where it is not. */
  check(request: Request): Refusal | undefined {
    const { type, offset, length } = request;
    if (type === Command.disconnect) return undefined;
    const allowed = this.allowedFor(type);
    if (allowed < 0) return refusalOf(allowed);
    if ((request.flags & ~allowed) !== 0) return refusals.wrongFlags;
    if (type === Command.flush) {
      return offset === 0 && length === 0 ? undefined : refusals.flushOfSome;
    }
    if (type === Command.resize) return this.checkResize(request);
    if (type === Command.blockStatus) {
      // What the length has to be is known when the filter is there.
      if ((request.flags & CommandFlag.payloadLength) !== 0) return this.checkFilter(length);
      if (length === 0) return refusals.emptyStatus;
    }
    if (offset + length > this.backend.size) return this.pastTheEnd(request);
    const alignment = this.minimumBytes;
    if (alignment > 1 && (offset % alignment !== 0 || length % alignment !== 0)) {
      return refusals.notAligned;
    }
    if (type === Command.read) return this.checkRead(length);
    const isTooLong = type === Command.write && length > this.requestBytesMax;
    return isTooLong ? refusals.tooLong : undefined;
  }

  /** For a payload that was under way: the disk may have shrunk meanwhile. */
  stillFits(request: Request): boolean {
    return request.offset + request.length <= this.backend.size;
  }

  private allowedFor(type: number): number {
    return type < commandCount ? (this.allowed[type] ?? notOffered) : notOffered;
  }

  /**
   * "SHOULD return NBD_ENOSPC if it receives a write request including one or
   * more sectors beyond the size of the device", EINVAL for the others; after
   * NBD_CMD_RESIZE "requests beyond the new size but not beyond the old one
   * MUST fail with ENOSPC".
   */
  private pastTheEnd({ type, offset, length }: Request): Refusal {
    const writes = type === Command.write || type === Command.writeZeroes;
    const lacksSpace = writes || offset + length <= this.sizeKnown;
    return lacksSpace ? refusals.noSpace : refusals.pastTheEnd;
  }

  /** NBD_CMD_RESIZE: the offset is the size that the disk is to have. */
  private checkResize({ offset, length }: Request): Refusal | undefined {
    const { size } = this.backend;
    this.sizeKnown = Math.max(this.sizeKnown, size);
    if (length !== 0) return refusals.resizeWithLength;
    if (offset % this.minimumBytes !== 0) return refusals.sizeNotAligned;
    if (!Number.isSafeInteger(offset)) return refusals.sizeTooLarge;
    // "Other clients are also using the same export and the request was for a smaller size".
    const shrinksUnderOthers = offset < size && clientsOf(this.backend) > 1;
    return shrinksUnderOthers ? refusals.shrinksUnderOthers : undefined;
  }

  /** "Permitted to reject large read requests up front with NBD_EOVERFLOW" where chunks are spoken. */
  private checkRead(length: number): Refusal | undefined {
    if (length <= this.requestBytesMax) return undefined;
    return this.chunked ? refusals.tooLongForChunks : refusals.tooLong;
  }

  private checkFilter(length: number): Refusal | undefined {
    return isFilterLength(length, this.contextCount) ? undefined : refusals.badFilterLength;
  }
}
