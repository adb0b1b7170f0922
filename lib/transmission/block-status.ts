/**
 * NBD_CMD_BLOCK_STATUS: the status of a range, one chunk for each metadata context
 * that the client has selected, or that the request lists.
 */
import type { Backend, StatusExtent } from '../backend/backend.js';
import { checkExtents } from '../backend/check-extents.js';
import { isPromise, type MaybePromise } from '../backend/maybe-promise.js';
import { NbdError } from '../errors.js';
import type { Limits } from '../limits.js';
import { CommandFlag } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import type { Request } from '../wire/request.js';
import { readUint64 } from '../wire/uint64.js';
import { viewOf } from '../wire/view.js';
import type { Agreement, SelectedContext } from './agreement.js';
import { encodeDescriptors } from './descriptors.js';

/** A list of contexts, a request's payload: the 64-bit effect length, then 32-bit ids. */
const effectLengthBytes = 8;
const contextIdBytes = 4;
const extendedDescriptorBytes = 16;

/** A copy of the request's fields: the request is reused while a context is awaited. */
type Query = Readonly<Record<'offset' | 'length' | 'flags', number>>;

export class BlockStatus {
  private readonly backend: Backend;
  private readonly alignment: number;
  private readonly contexts: readonly SelectedContext[];
  private readonly extended: boolean;
  private readonly extentsMax: number;

  constructor(agreement: Agreement, limits: Limits) {
    this.backend = agreement.export.backend;
    this.alignment = agreement.blockSize.minimum;
    this.contexts = agreement.contexts;
    this.extended = agreement.headers === HeaderKind.extended;
    // "MUST NOT send a chunk where any variable-length portion of the chunk is
    // larger than any advertised maximum payload size".
    const payloadMax = Math.floor(agreement.blockSize.maximum / extendedDescriptorBytes);
    this.extentsMax = Math.max(1, Math.min(limits.extentsMax, payloadMax));
  }

  /**
   * Read the payload of a request with NBD_CMD_FLAG_PAYLOAD_LEN: sets the request's
   * `length` to the effect length. Returns false for an invalid list of contexts.
   */
  readContextList(request: Request, payload: Uint8Array): boolean {
    const ids = idsIn(payload);
    // "Detects duplicate or unknown metacontext ids [...] failing with NBD_EINVAL".
    const known = ids.every((id) => this.contexts.some((context) => context.id === id));
    if (ids.length === 0 || !known || new Set(ids).size < ids.length) return false;
    request.length = readUint64(viewOf(payload), 0);
    return true;
  }

  /** The payloads of the reply's chunks. `list` is the request's payload, or empty. */
  query(request: Request, list: Uint8Array): MaybePromise<readonly Uint8Array[]> {
    const { offset, length, flags } = request;
    return this.collect({ offset, length, flags }, this.listed(list), []);
  }

  /** Upper bound of the reply's size. */
  replyBytesMax({ length, flags }: Request): number {
    const one = (flags & CommandFlag.reqOne) !== 0;
    const extents = one ? 1 : Math.min(this.extentsMax, length);
    return extents * extendedDescriptorBytes * this.contexts.length;
  }

  /** One context after the other, without a promise as long as they return at once. */
  private collect(
    query: Query,
    contexts: readonly SelectedContext[],
    payloads: Uint8Array[],
  ): MaybePromise<readonly Uint8Array[]> {
    for (const [index, selected] of contexts.entries()) {
      const { context } = selected;
      const one = (query.flags & CommandFlag.reqOne) !== 0;
      const extents = context.status(query.offset, query.length, { one });
      if (isPromise(extents)) {
        return Promise.resolve(extents).then((awaited) => {
          payloads.push(this.payload(selected, awaited, query));
          return this.collect(query, contexts.slice(index + 1), payloads);
        });
      }
      payloads.push(this.payload(selected, extents, query));
    }
    return payloads;
  }

  private payload(
    { id, context }: SelectedContext,
    extents: Iterable<StatusExtent>,
    query: Query,
  ): Uint8Array {
    checkExtents(context.name, extents);
    const { backend, alignment } = this;
    const end = backend.size - (backend.size % alignment);
    const available = end - query.offset;
    if (available <= 0) {
      throw new NbdError('ENOSPC', `The disk has shrunk to ${backend.size} bytes in the meantime.`);
    }
    return encodeDescriptors(id, extents, {
      extended: this.extended,
      wide: context.wide === true,
      one: (query.flags & CommandFlag.reqOne) !== 0,
      length: Math.min(query.length, available),
      available,
      alignment,
      extentsMax: this.extentsMax,
    });
  }

  private listed(list: Uint8Array): readonly SelectedContext[] {
    if (list.length === 0) return this.contexts;
    const ids = idsIn(list);
    return this.contexts.filter(({ id }) => ids.includes(id));
  }
}

function idsIn(payload: Uint8Array): number[] {
  const view = viewOf(payload);
  const ids: number[] = [];
  for (let at = effectLengthBytes; at < view.byteLength; at += contextIdBytes) {
    ids.push(view.getUint32(at));
  }
  return ids;
}

/** Whether `length` bytes can list 1 to `contextCount` contexts: 8 + n * 4 bytes. */
export function isContextListLength(length: number, contextCount: number): boolean {
  const ids = (length - effectLengthBytes) / contextIdBytes;
  return Number.isInteger(ids) && ids >= 1 && ids <= contextCount;
}
