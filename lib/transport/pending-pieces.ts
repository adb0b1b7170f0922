/**
 * The pieces that wait to be sent, and the arena that headers are written into.
 * Payloads are borrowed. This is a hot path: nothing is allocated for a piece.
 */
import { NbdError } from '../errors.js';
import type { MappedMemory } from '../memory/mapped-memory.js';
import type { FileMapping } from '../native/addon.js';
import { addon } from '../native/load.js';
import type { Lease } from './sender.js';
import type { TransportCounters } from './transport.js';

/** Holds 256 headers of simple replies. A full arena is sent, so its size does not limit messages. */
export const arenaBytes = 4096;
/** IOV_MAX of Linux: a longer vector needs a second system call anyway. */
export const piecesMax = 1024;
const initialPieces = 32;
const spareArenasMax = 64;
const searchedBuffersMax = 32;
/** Numbers of a piece in `pieces`: index into `buffers`, offset, length. */
export const pieceWidth = 3;

/** What a transport needs while pieces are pending. */
class Arena {
  readonly bytes = new Uint8Array(arenaBytes);
  readonly view = new DataView(this.bytes.buffer);
  pieces = new Float64Array(initialPieces * pieceWidth);
}

/** Arenas of transports that have nothing pending, shared by all of this thread: most connections are idle. */
const spareArenas: Arena[] = [];
const noBytes = new Uint8Array(0);
const noView = new DataView(noBytes.buffer);
const noPieces = new Float64Array(0);

/** What pieces are ranges of. */
export type Memory = Uint8Array | FileMapping;

/** Pieces that were taken out, to be sent later. */
export interface Batch {
  readonly buffers: Memory[];
  readonly pieces: Float64Array<ArrayBuffer>;
  readonly pieceCount: number;
  readonly bytes: number;
  readonly leases: Lease[];
  /** What the mappings among `buffers` belong to. */
  readonly mapped: MappedMemory[];
}

export function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) lease.release();
}

/** The base of transports, and not a member, so that their fields are one access away. */
export abstract class PendingPieces {
  readonly counters: TransportCounters = {
    messages: 0,
    bytes: 0,
    sends: 0,
    corks: 0,
    streamWrites: 0,
    shortSends: 0,
    fallbacks: 0,
  };

  /** Undefined while nothing is pending. */
  private arena: Arena | undefined;
  private view: DataView = noView;
  /** What pieces are views of; the first is the arena, or a copy of it. */
  protected buffers: Memory[] = [noBytes];
  protected pieces: Float64Array<ArrayBuffer> = noPieces;
  protected pieceCount = 0;
  protected pendingBytes = 0;
  /** Memory to be given back when all pieces are sent. */
  protected leases: Lease[] = [];
  private mapped: MappedMemory[] = [];
  protected arenaUsed = 0;

  get headers(): DataView {
    this.holdArena();
    return this.view;
  }

  /** Before the first piece: headers and `pieces` are memory of this transport from now on. */
  protected holdArena(): void {
    if (this.arena !== undefined) return;
    const arena = spareArenas.pop() ?? new Arena();
    this.arena = arena;
    this.view = arena.view;
    this.pieces = arena.pieces;
    this.buffers[0] = arena.bytes;
  }

  private releaseArena(): void {
    const { arena } = this;
    if (arena === undefined) return;
    this.arena = undefined;
    this.view = noView;
    this.pieces = noPieces;
    if (spareArenas.length < spareArenasMax) spareArenas.push(arena);
  }

  /** The index of `memory` in `buffers`. Among many it is added again: that is cheaper than a search. */
  protected bufferIndex(memory: Memory): number {
    const buffers = this.buffers;
    const count = buffers.length;
    if (buffers[count - 1] === memory && count > 1) return count - 1;
    if (count > 1 && count <= searchedBuffersMax) {
      const index = buffers.indexOf(memory, 1);
      if (index > 0) return index;
    }
    buffers.push(memory);
    return count;
  }

  protected addPiece(index: number, offset: number, length: number): void {
    this.holdArena();
    this.pendingBytes += length;
    const count = this.pieceCount;
    let pieces = this.pieces;
    let at = count * pieceWidth;
    // Consecutive headers in the arena are one piece.
    if (index === 0 && count > 0 && pieces[at - 3] === 0) {
      pieces[at - 1] = (pieces[at - 1] ?? 0) + length;
      return;
    }
    if (at === pieces.length) pieces = this.grow();
    pieces[at++] = index;
    pieces[at++] = offset;
    pieces[at] = length;
    this.pieceCount = count + 1;
  }

  protected addMapped(memory: MappedMemory, start: number, length: number): void {
    // Mostly that of the only disk of this connection.
    if (!this.mapped.includes(memory)) this.mapped.push(memory);
    this.addPiece(this.bufferIndex(memory.mapping), start, length);
  }

  private grow(): Float64Array<ArrayBuffer> {
    const wider = new Float64Array(this.pieces.length * 2);
    wider.set(this.pieces);
    this.pieces = wider;
    if (this.arena !== undefined) this.arena.pieces = wider;
    return wider;
  }

  /** All pieces were sent. */
  protected clear(): void {
    this.counters.bytes += this.pendingBytes;
    this.pieceCount = 0;
    this.pendingBytes = 0;
    this.arenaUsed = 0;
    this.buffers.length = 1;
    this.mapped.length = 0;
    this.releaseArena();
    if (this.leases.length > 0) releaseAll(this.leases.splice(0));
  }

  /** The first `sentBytes`, fewer than all, were sent: keep the others. */
  protected removeSent(sentBytes: number): void {
    const pieces = this.pieces;
    let count = 0;
    let skip = sentBytes;
    while (skip >= this.lengthOf(count)) skip -= this.lengthOf(count++);
    pieces.copyWithin(0, count * pieceWidth, this.pieceCount * pieceWidth);
    pieces[1] = (pieces[1] ?? 0) + skip;
    pieces[2] = (pieces[2] ?? 0) - skip;
    this.pieceCount -= count;
    this.pendingBytes -= sentBytes;
    this.counters.bytes += sentBytes;
  }

  /** Take all pieces out, to be sent later: memory of headers is copied, that of payloads is not. */
  protected takeBatch(): Batch {
    const { buffers, pieceCount, pendingBytes, leases, mapped } = this;
    buffers[0] = this.headersCopy();
    const pieces = this.pieces.slice(0, pieceCount * pieceWidth);
    const batch = { buffers, pieces, pieceCount, bytes: pendingBytes, leases, mapped };
    this.releaseArena();
    this.buffers = [noBytes];
    this.pieceCount = 0;
    this.pendingBytes = 0;
    this.leases = [];
    this.mapped = [];
    this.arenaUsed = 0;
    return batch;
  }

  /** Put a batch back, where no pieces are pending. */
  protected loadBatch(batch: Batch): void {
    const { buffers, pieces, pieceCount, bytes, leases, mapped } = batch;
    this.buffers = buffers;
    this.pieces = pieces;
    this.pieceCount = pieceCount;
    this.pendingBytes = bytes;
    this.leases = leases;
    this.mapped = mapped;
  }

  /** After a batch that was loaded, nothing is pending. */
  protected unloadBatch(): void {
    this.buffers = [noBytes];
    this.pieces = noPieces;
  }

  /** A copy of the headers, to be kept while the arena is reused. */
  private headersCopy(): Memory {
    const [headers = noBytes] = this.buffers;
    const { arena } = this;
    return headers === arena?.bytes ? arena.bytes.slice(0, this.arenaUsed) : headers;
  }

  /** Drop pending pieces, since the stream is destroyed. */
  protected dropPending(): void {
    this.pendingBytes = 0; // `clear` counts them as sent.
    this.clear();
  }

  /** The bytes of piece number `index`: a view, or of a mapping a copy. */
  protected pieceAt(index: number): Uint8Array {
    const at = index * pieceWidth;
    const buffer = this.buffers[this.pieces[at] ?? 0] ?? noBytes;
    const offset = this.pieces[at + 1] ?? 0;
    const length = this.pieces[at + 2] ?? 0;
    if (!(buffer instanceof Uint8Array)) return copyOf(buffer, offset, length);
    if (offset === 0 && length === buffer.byteLength) return buffer;
    return Buffer.from(buffer.buffer, buffer.byteOffset + offset, length);
  }

  /** A copy of the first block of piece number `index`. Blocks begin at multiples of `blockBytes` in memory. */
  protected firstBlock(index: number, blockBytes: number): Uint8Array {
    const at = index * pieceWidth;
    const buffer = this.buffers[this.pieces[at] ?? 0] ?? noBytes;
    if (!(buffer instanceof Uint8Array)) {
      const offset = this.pieces[at + 1] ?? 0;
      const rest = blockBytes - (offset % blockBytes);
      return copyOf(buffer, offset, Math.min(rest, this.lengthOf(index)));
    }
    const piece = this.pieceAt(index);
    const start = this.isBorrowed(index) ? (addon?.offsetIn(piece, blockBytes) ?? 0) : 0;
    return Buffer.from(piece.subarray(0, blockBytes - start));
  }

  /** Whether piece number `index` is a view of the caller's memory. */
  protected isBorrowed(index: number): boolean {
    return this.pieces[index * pieceWidth] !== 0;
  }

  protected lengthOf(index: number): number {
    return this.pieces[index * pieceWidth + 2] ?? 0;
  }
}

/** @throws NbdError `EFAULT` where the file has become shorter. */
export function copyOf(mapping: FileMapping, start: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  const count = addon?.copyFromMapping(mapping, start, bytes);
  if (count !== length) {
    throw new NbdError('EFAULT', 'The file has become shorter while a reply was being sent.');
  }
  return bytes;
}
