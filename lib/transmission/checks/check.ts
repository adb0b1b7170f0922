/**
 * Checks each request before anything is done for it: command, flags, range,
 * alignment, length. The commands and flags that a connection may use are a table,
 * made once from what was negotiated.
 */
import type { Backend } from '../../backend/backend.js';
import { Command, CommandFlag, TransmissionFlag } from '../../wire/constants.js';
import { HeaderKind } from '../../wire/header-kind.js';
import type { Request } from '../../wire/request.js';
import type { Agreement } from '../agreement.js';
import { isContextListLength } from '../block-status.js';
import { clientCount } from './clients.js';
import { refusals, type Bounds, type Refusal } from './refusals.js';

/** In place of allowed flags: why a command is refused, whatever its flags. */
const notOffered = -1;
const readOnly = -2;
const stopping = -3;
/** NBD_CMD_RESIZE: "server configuration does not allow". */
const notResizable = -4;

const modifying = [Command.write, Command.trim, Command.writeZeroes, Command.resize];
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
    const payload = has(TransmissionFlag.blockStatusPayload) ? CommandFlag.payloadLength : 0;
    allowed[Command.blockStatus] = fua | CommandFlag.reqOne | payload;
  }
  if (has(TransmissionFlag.sendResize)) allowed[Command.resize] = fua;
  else if (agreement.export.backend.resize !== undefined) allowed[Command.resize] = notResizable;
  if (has(TransmissionFlag.readOnly)) {
    for (const command of modifying) {
      allowed[command] = readOnly;
    }
  }
  return allowed;
}

/** For a negative entry of the table. */
function refusalOf(allowed: number): Refusal {
  if (allowed === readOnly) return refusals.readOnly;
  if (allowed === notResizable) return refusals.notResizable;
  return allowed === stopping ? refusals.stopping : refusals.notOffered;
}

export class RequestChecker implements Bounds {
  readonly alignment: number;
  readonly requestBytesMax: number;
  readonly contextCount: number;
  private readonly allowed: Int32Array;
  private readonly backend: Backend;
  /** The largest size that the client knew: ENOSPC for requests within it, since the disk has shrunk. */
  private sizeKnown: number;
  private readonly chunked: boolean;

  constructor(agreement: Agreement) {
    this.allowed = allowedFlags(agreement);
    this.backend = agreement.export.backend;
    this.alignment = agreement.blockSize.minimum;
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

  invalidFlags({ type, flags }: Request): number {
    return flags & ~this.allowedFor(type);
  }

  /** The reason to refuse the request; undefined for a valid one. */
  check(request: Request): Refusal | undefined {
    const { type, flags, offset, length } = request;
    if (type === Command.disconnect) return undefined;
    const allowed = this.allowedFor(type);
    if (allowed < 0) return refusalOf(allowed);
    if ((flags & ~allowed) !== 0) return refusals.invalidFlags;
    switch (type) {
      case Command.read:
        return this.checkRange(request) ?? this.checkReadLength(length);
      case Command.write:
        return this.checkRange(request) ?? this.checkWriteLength(length);
      case Command.flush:
        return offset === 0 && length === 0 ? undefined : refusals.flushOfRange;
      case Command.resize:
        return this.checkResize(request);
      case Command.blockStatus:
        // The range is checked when the payload with the effect length has arrived.
        if ((flags & CommandFlag.payloadLength) !== 0) return this.checkContextListLength(length);
        return length === 0 ? refusals.emptyStatus : this.checkRange(request);
      default:
        return this.checkRange(request);
    }
  }

  /** After a payload has arrived: the disk may have shrunk in the meantime. */
  stillFits(request: Request): boolean {
    return request.offset + request.length <= this.backend.size;
  }

  private allowedFor(type: number): number {
    return type < commandCount ? (this.allowed[type] ?? notOffered) : notOffered;
  }

  private checkRange(request: Request): Refusal | undefined {
    const { offset, length } = request;
    if (offset + length > this.backend.size) return this.pastEnd(request);
    const { alignment } = this;
    if (alignment > 1 && (offset % alignment !== 0 || length % alignment !== 0)) {
      return refusals.notAligned;
    }
    return undefined;
  }

  /**
   * "SHOULD return NBD_ENOSPC if it receives a write request including one or
   * more sectors beyond the size of the device", EINVAL for the others; after
   * NBD_CMD_RESIZE "requests beyond the new size but not beyond the old one
   * MUST fail with ENOSPC".
   */
  private pastEnd({ type, offset, length }: Request): Refusal {
    const isWrite = type === Command.write || type === Command.writeZeroes;
    const lacksSpace = isWrite || offset + length <= this.sizeKnown;
    return lacksSpace ? refusals.noSpace : refusals.pastEnd;
  }

  /** NBD_CMD_RESIZE: the offset is the new size. */
  private checkResize({ offset, length }: Request): Refusal | undefined {
    const { size } = this.backend;
    this.sizeKnown = Math.max(this.sizeKnown, size);
    if (length !== 0) return refusals.resizeWithLength;
    if (offset % this.alignment !== 0) return refusals.sizeNotAligned;
    if (!Number.isSafeInteger(offset)) return refusals.sizeTooLarge;
    // "Other clients are also using the same export and the request was for a smaller size".
    const shrinksUnderOthers = offset < size && clientCount(this.backend) > 1;
    return shrinksUnderOthers ? refusals.shrinksUnderOthers : undefined;
  }

  /** "Permitted to reject large read requests up front with NBD_EOVERFLOW" if replies have chunks. */
  private checkReadLength(length: number): Refusal | undefined {
    if (length <= this.requestBytesMax) return undefined;
    return this.chunked ? refusals.readTooLong : refusals.tooLong;
  }

  private checkWriteLength(length: number): Refusal | undefined {
    return length <= this.requestBytesMax ? undefined : refusals.tooLong;
  }

  private checkContextListLength(length: number): Refusal | undefined {
    return isContextListLength(length, this.contextCount)
      ? undefined
      : refusals.badContextListLength;
  }
}
