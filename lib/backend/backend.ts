import type { MappedMemory } from '../memory/mapped-memory.js';
import type { MaybePromise } from './maybe-promise.js';

export type { MaybePromise } from './maybe-promise.js';

/** The bytes that a read returns: one piece, or several in the order of the disk. */
export type Bytes = Uint8Array | readonly Uint8Array[];

/** Where bytes lie, without a view of them: `memory` from `start` on. */
export interface Slice {
  /** The memory that holds the bytes. */
  memory: Uint8Array;
  /** Index of the first byte in `memory`. */
  start: number;
  /** The client's connection can send ranges of a mapped file: `mapped` may be set. */
  readonly acceptsMapping?: boolean;
  /**
   * In place of `memory`, where it is not undefined: a mapped file, with the
   * first byte at `start`. Disks in files use it.
   */
  mapped?: MappedMemory | undefined;
}

/** A file or block device that is open, for `Backend.threadSource`. */
export interface FileSource {
  /** Regular file or block device. */
  readonly kind: 'file';
  /** A descriptor of it: threads open the file again, whatever has its path by now. */
  readonly fd: number;
  /** As in `OpenFileOptions`. */
  readonly readOnly: boolean;
  /** As in `OpenFileOptions`. */
  readonly direct: boolean;
  /** As in `OpenFileOptions`. */
  readonly dropCache: boolean;
}

/** A file in memory (memfd), for `Backend.threadSource`. */
export interface MemorySource {
  /** A file in memory. */
  readonly kind: 'memory';
  /** A descriptor of it. */
  readonly fd: number;
}

/** Zeros that cannot be written, for `Backend.threadSource`. */
export interface ZerosSource {
  /** Zeros. */
  readonly kind: 'zeros';
  /** In bytes. */
  readonly size: number;
}

/** How other threads of the process open a disk that one thread has opened. */
export type ThreadSource = FileSource | MemorySource | ZerosSource;

/** Options of a write (NBD_CMD_WRITE). */
export interface WriteOptions {
  /** Force unit access: the data must be on stable storage before the reply (NBD_CMD_FLAG_FUA). */
  readonly fua: boolean;
}

/** Options of a trim (NBD_CMD_TRIM). */
export interface TrimOptions {
  /** As in `WriteOptions`, for the trimmed range. */
  readonly fua: boolean;
}

/** Options of zeroing (NBD_CMD_WRITE_ZEROES). */
export interface WriteZeroesOptions {
  /** As in `WriteOptions`, for the zeros. */
  readonly fua: boolean;
  /** The range must be allocated afterwards (NBD_CMD_FLAG_NO_HOLE). */
  readonly noHole: boolean;
  /** Fail at once with ENOTSUP where zeroing is no faster than writing (NBD_CMD_FLAG_FAST_ZERO). */
  readonly fast: boolean;
}

/** Constraints on the sizes of requests, in bytes: NBD_INFO_BLOCK_SIZE. */
export interface BlockSize {
  /** Offsets and lengths must be multiples of it: a power of two from 1 to 64 KiB. */
  readonly minimum: number;
  /** Multiples of it are fastest: a power of two, at least `minimum` and at least 512. */
  readonly preferred: number;
  /** The longest READ or WRITE payload: an integer, at least `preferred` and below 2^32. */
  readonly maximum: number;
}

/** Options of `Backend.extents` and `MetaContext.status`. */
export interface ExtentsOptions {
  /** The first extent is enough (NBD_CMD_FLAG_REQ_ONE). */
  readonly one: boolean;
}

/** A range of the disk with one allocation status: `base:allocation`. */
export interface Extent {
  /** Bytes, at least one, and a multiple of `blockSize.minimum`. */
  readonly length: number;
  /** The range is not allocated: writing to it may fail for lack of space. */
  readonly hole: boolean;
  /** The range reads as zeros. */
  readonly zero: boolean;
}

/** A range of the disk with one status in a metadata context of the backend. */
export interface StatusExtent {
  /** Bytes, at least one, and a multiple of `blockSize.minimum`. */
  readonly length: number;
  /**
   * The status, as the context defines it: an integer below 2^32, or below 2^64
   * where the context is `wide`. Above 2^53 − 1 it must be a bigint.
   */
  readonly flags: number | bigint;
}

/** A metadata context of a backend. See "Metadata querying" in the specification. */
export interface MetaContext {
  /**
   * The name by which clients select the context, NAMESPACE:LEAF, such as
   * `x-backup:changed`. The namespaces `base` and `nbd-server` belong to the
   * specification; those for local use begin with `x-`.
   */
  readonly name: string;
  /** True where flags may have more than 32 bits: only clients with extended headers can select it. */
  readonly wide?: boolean;
  /** The status of a range. What holds for `Backend.extents` holds here. */
  status(
    offset: number,
    length: number,
    options: ExtentsOptions,
  ): MaybePromise<Iterable<StatusExtent>>;
}

/**
 * A disk. Only `size` and `read` are required. Every other member is a
 * capability: the server neither advertises nor uses what is absent.
 *
 * Offsets, lengths and sizes are bytes. The server calls a method only with a
 * range of at least one byte that lies inside the disk and keeps to
 * `blockSize`. Reads and writes are no longer than `blockSize.maximum` or,
 * without it, the server's limit `requestBytesMax`. Any other range may be as
 * long as the disk.
 *
 * Each method returns its result, or a promise where the result takes time.
 * Calls overlap: several requests of several clients are in progress at once.
 * What a method throws, or rejects with, fails that one request; `NbdError`
 * says which error the client gets.
 *
 * @example A disk of 1 MiB
 * ```ts
 * import { createServer, type Backend } from 'nbdcork';
 *
 * const bytes = new Uint8Array(2 ** 20);
 * const disk: Backend = {
 *   size: bytes.length,
 *   read: (offset, length) => bytes.subarray(offset, offset + length),
 *   write: (offset, data) => bytes.set(data, offset),
 *   writeZeroes: (offset, length) => void bytes.fill(0, offset, offset + length),
 * };
 *
 * const server = createServer({ exports: { disk } });
 * await server.listen({ port: 0 });
 * console.log(server.uri('disk'));
 * ```
 */
export interface Backend {
  /** The size in bytes, an integer from 0 to 2^53 − 1. Only `resize` and `measure` may change it. */
  readonly size: number;

  /** Constraints on requests. Absent: any offset and length, 4096 preferred. */
  readonly blockSize?: BlockSize;

  /**
   * True where a flush on one connection covers the writes that were answered
   * on all others, and their reads see these writes: NBD_FLAG_CAN_MULTI_CONN. It
   * is not advertised where each connection has a backend of its own.
   */
  readonly multiConn?: boolean;

  /** True for a rotating disk: NBD_FLAG_ROTATIONAL. */
  readonly rotational?: boolean;

  /**
   * True once the disk has failed so that only opening it again helps, such as after
   * a flush that has lost data. The server closes it when its last client has left,
   * and opens it again for the next one: see `ExportOptions.reopen`.
   */
  readonly mustReopen?: boolean;

  /**
   * True where `write`, `trim` and `writeZeroes` obey `fua` themselves. Otherwise
   * the server calls `flush` after them when a client sets the flag.
   */
  readonly fua?: boolean;

  /**
   * How long `write` uses its `data`; the server then uses the memory again.
   * `'call'`: until `write` returns, even if it returns a promise. The server
   * may pass views of its receive buffer. `'request'`: until the promise that
   * `write` returns settles. Absent: `data` belongs to the backend, which may
   * keep it.
   */
  readonly payloadLifetime?: 'call' | 'request';

  /**
   * True where `read` returns views of memory that the backend holds in any
   * case, such as a disk in memory: reads then take nothing of the server's
   * limit `memoryBytesMax`.
   */
  readonly readsInPlace?: boolean;

  /**
   * How each thread of a server that has several (`ServerOptions.threads`) opens the
   * disk for itself, instead of using this object. What one thread has written, all
   * must see, and a flush on one must cover the writes of all. Absent: only one thread
   * can serve the disk.
   */
  readonly threadSource?: ThreadSource;

  /**
   * Returns exactly `length` bytes from `offset`. The pieces are sent from
   * where they lie, without a copy, and must stay readable until the reply has
   * been sent. Their content may change until then, as that of a disk that is
   * written to at the same time.
   *
   * Use `zeros` for a range that is known to be zeros: clients can be sent a
   * hole in place of data. Throw a `PartialError` where only the beginning of
   * the range could be read.
   */
  read(offset: number, length: number): MaybePromise<Bytes>;

  /**
   * Called once for each result of `read`, when the reply has been sent or
   * dropped: the memory may be used again.
   */
  releaseRead?(bytes: Bytes): void;

  /**
   * A read without allocation, tried before `read`: sets `slice` to where the
   * range lies in memory and returns true. False, with `slice` as it was,
   * where the range is not in one piece of memory; `read` is called then.
   *
   * `slice` belongs to the server. As in `read`, the memory must stay readable
   * until the reply has been sent. Use the same `Uint8Array` object for the same
   * memory every time: the server recognizes memory by its object.
   */
  readSlice?(offset: number, length: number, slice: Slice): boolean;

  /**
   * Writes `data` at `offset`. `payloadLifetime` says how long
   * `data` may be used. Absent: the export is read-only.
   */
  write?(offset: number, data: Uint8Array, options: WriteOptions): MaybePromise<void>;

  /**
   * Returns memory of the backend, exactly `length` bytes, into which the
   * payload of a write is received without a copy, or undefined where there is
   * none for this range. `write` is then called with this view as `data`, unless
   * the client disconnects before the payload is complete or the disk shrinks.
   *
   * The server stores whole blocks: a block, the larger of 4096 and
   * `blockSize.minimum`, aligned to the offsets of the disk, gets its new bytes in
   * one step. So a client that disconnects within a payload leaves old blocks and
   * new ones, none half written.
   *
   * It is called only for payloads that arrive in more than one part. What it
   * throws is logged, and the payload is received elsewhere.
   */
  writeTarget?(offset: number, length: number): Uint8Array | undefined;

  /**
   * Puts everything that was answered before on stable storage. A disk that can
   * be written is flushed before `close` too.
   */
  flush?(): MaybePromise<void>;

  /** Discards the range, which may have any content afterwards. A hint. */
  trim?(offset: number, length: number, options: TrimOptions): MaybePromise<void>;

  /** Makes the range read as zeros. */
  writeZeroes?(offset: number, length: number, options: WriteZeroesOptions): MaybePromise<void>;

  /** Prepares for reads of the range. A hint. */
  cache?(offset: number, length: number): MaybePromise<void>;

  /**
   * Changes `size`: from 0 to 2^53 − 1, a multiple of `blockSize.minimum`. New
   * bytes read as zeros. Called only for exports that are `resizable`, and never
   * to shrink the disk while other clients use it.
   *
   * Requests beyond the new size may still be in progress: they may fail, and
   * must not bring back what was cut off. See NBD_CMD_RESIZE in the specification.
   */
  resize?(size: number): MaybePromise<void>;

  /** Updates `size` where the disk can grow by itself. Called before a client is told the size. */
  measure?(): MaybePromise<void>;

  /**
   * Returns at least one extent. The first begins at `offset`, and each of the
   * others where the one before it ends. Extents may end before the range does,
   * where it takes work to find more: clients then ask again from there. They
   * may also go past the range. What lies past the disk is ignored.
   *
   * The server iterates once, stops when it has enough, and calls nothing else
   * meanwhile. Absent: the whole disk is allocated data.
   */
  extents?(offset: number, length: number, options: ExtentsOptions): MaybePromise<Iterable<Extent>>;

  /** Metadata contexts besides `base:allocation` that clients may select. Names are unique. */
  readonly contexts?: readonly MetaContext[];

  /**
   * Releases what the backend holds. Called once, after the last request has
   * ended. Only where requests take longer than the server's limit
   * `shutdownTimeoutMs` are they still in progress.
   */
  close?(): MaybePromise<void>;
}
