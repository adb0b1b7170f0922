import type { MaybePromise } from './maybe-promise.js';

export type { MaybePromise } from './maybe-promise.js';

/** What a read returns: the bytes whole, or in pieces that follow each other. */
export type Bytes = Uint8Array | readonly Uint8Array[];

/** Where bytes lie, without a view of them: `memory` from `start` on. */
export interface Slice {
  /** The memory that holds the bytes. */
  memory: Uint8Array;
  /** Index of the first byte in `memory`. */
  start: number;
}

/** What a client wants of a write (NBD_CMD_WRITE). */
export interface WriteOptions {
  /** Force unit access: the data must be on stable storage before the answer (NBD_CMD_FLAG_FUA). */
  readonly fua: boolean;
}

/** What a client wants of a trim (NBD_CMD_TRIM). */
export interface TrimOptions {
  /** As in `WriteOptions`, for what the trim has changed. */
  readonly fua: boolean;
}

/** What a client wants of zeroing (NBD_CMD_WRITE_ZEROES). */
export interface WriteZeroesOptions {
  /** As in `WriteOptions`, for the zeros. */
  readonly fua: boolean;
  /** The range must stay allocated (NBD_CMD_FLAG_NO_HOLE). */
  readonly noHole: boolean;
  /** Fail at once with ENOTSUP where zeroing is no faster than writing (NBD_CMD_FLAG_FAST_ZERO). */
  readonly fast: boolean;
}

/** Sizes that requests should or must keep to, in bytes: NBD_INFO_BLOCK_SIZE. */
export interface BlockSize {
  /** Offsets and lengths must be multiples of it: a power of two from 1 to 64 KiB. */
  readonly minimum: number;
  /** Requests of its multiples are the fastest: a power of two, at least `minimum` and 512. */
  readonly preferred: number;
  /** The longest READ or WRITE payload. */
  readonly maximum: number;
}

/** What part of a range the caller wants to know of. */
export interface ExtentsOptions {
  /** Only the first extent is of use to the client: no need to look further. */
  readonly one: boolean;
}

/** A piece of the disk in which everything is alike: `base:allocation`. */
export interface Extent {
  /** Bytes, at least one, and a multiple of `blockSize.minimum`. */
  readonly length: number;
  /** There is no storage behind it: writing to it may fail for lack of space. */
  readonly hole: boolean;
  /** It reads as zeros. */
  readonly zero: boolean;
}

/** The same for a context of the backend's own. */
export interface StatusExtent {
  /** Bytes, at least one, and a multiple of `blockSize.minimum`. */
  readonly length: number;
  /**
   * What the context defines: an integer below 2^32, or below 2^64 where the
   * context is `wide`. Above 2^53 − 1 it must be a bigint.
   */
  readonly flags: number | bigint;
}

/** Something to know of each part of a disk: see "Metadata querying" of the specification. */
export interface MetaContext {
  /**
   * NAMESPACE:LEAF, which clients select it by, such as `x-backup:changed`.
   * The namespaces `base` and `nbd-server` are the specification's; those for
   * local use begin with `x-`.
   */
  readonly name: string;
  /** True where flags may have more than 32 bits: only clients with extended headers can select it. */
  readonly wide?: boolean;
  /** As `Backend.extents`. */
  status(
    offset: number,
    length: number,
    options: ExtentsOptions,
  ): MaybePromise<Iterable<StatusExtent>>;
}

/**
 * A disk: `size` and `read`; everything else is capability by presence. What a
 * backend lacks is not advertised to clients and never called.
 *
 * The server calls a method only with a range that lies inside the disk and a
 * length of at least one byte. Calls overlap: several requests of several
 * clients are in progress at once. An error that is thrown, or a promise that
 * is rejected, fails that one request: see `NbdError` for the number it gets.
 */
export interface Backend {
  /** Bytes, an integer from 0 to 2^53 − 1. It may change, with `resize` and `measure`. */
  readonly size: number;

  /** Sizes that requests must keep to; without it: any size, 4096 preferred. */
  readonly blockSize?: BlockSize;

  /**
   * True where a flush on one connection covers the writes that were answered
   * on another, and reads see them: NBD_FLAG_CAN_MULTI_CONN. Clients are not
   * told so where each connection has a backend of its own.
   */
  readonly multiConn?: boolean;

  /** True for a disk that turns: NBD_FLAG_ROTATIONAL. */
  readonly rotational?: boolean;

  /**
   * True where write, trim and writeZeroes obey `fua` themselves. Otherwise
   * the server calls `flush` after them when a client asks for FUA.
   */
  readonly fua?: boolean;

  /**
   * True where `write` has finished with `data` when it returns, even if it
   * returns a promise: the server then passes views of its receive buffer.
   * Otherwise `data` is the backend's to keep.
   */
  readonly consumesWrites?: boolean;

  /**
   * Exactly `length` bytes from `offset`; `zeros` for what is known to be zeros,
   * a `PartialError` for a read that fails half-way. The pieces are sent as they are,
   * without a copy, and must stay readable until the reply has been sent; their
   * content may change meanwhile, as that of a disk that is being written to.
   */
  read(offset: number, length: number): MaybePromise<Bytes>;

  /**
   * The fast way to read what lies in memory: say in `slice` where the range
   * is, and return true. False where it is not in one place: then `read` is
   * called. `memory` should be the same object every time for the same memory.
   */
  readSlice?(offset: number, length: number, slice: Slice): boolean;

  /** Absent: the export is read-only. */
  write?(offset: number, data: Uint8Array, options: WriteOptions): MaybePromise<void>;

  /**
   * Memory of the backend into which the payload of a WRITE may be received
   * straight from the kernel, or undefined where it has none for this range.
   * When the payload is there, `write` is called with that same view as `data`.
   * What this throws is logged, and `write` gets the payload as any other.
   */
  writeTarget?(offset: number, length: number): Uint8Array | undefined;

  /** Everything that was answered before is on stable storage afterwards. */
  flush?(): MaybePromise<void>;

  /** The range is no longer needed: a hint. */
  trim?(offset: number, length: number, options: TrimOptions): MaybePromise<void>;

  /** The range reads as zeros afterwards. */
  writeZeroes?(offset: number, length: number, options: WriteZeroesOptions): MaybePromise<void>;

  /** The range will be read soon: a hint. */
  cache?(offset: number, length: number): MaybePromise<void>;

  /**
   * Give the disk another `size`; what is new reads as zeros. Called only for
   * exports that are `resizable`, and never to shrink the disk under other
   * clients. Requests past the new size may still be in progress: they may
   * fail, and must not bring back what was cut off. Spec: NBD_CMD_RESIZE.
   */
  resize?(size: number): MaybePromise<void>;

  /** See whether the disk has grown by itself. Called before a client is told its size. */
  measure?(): MaybePromise<void>;

  /**
   * Extents that follow each other from `offset` on: one at least. They may end
   * before the range does where finding out more is work, and clients then ask
   * again from there; or behind it, where that is known anyway. What may be
   * lazy: iteration stops when enough is known, and is over before anything
   * else is called. Absent: all of the disk is allocated data.
   */
  extents?(offset: number, length: number, options: ExtentsOptions): MaybePromise<Iterable<Extent>>;

  /** Contexts besides `base:allocation` that clients may select. */
  readonly contexts?: readonly MetaContext[];

  /** Called once, after the last request. */
  close?(): MaybePromise<void>;
}
