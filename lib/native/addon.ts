/**
 * The functions of the C++ addon, which load.ts loads. Each borrows its
 * descriptor and buffers for the call, or until its promise settles. It returns
 * a count (or 0), or `-errno`. Only an invalid argument (a wrong type, a range
 * outside its buffer) throws.
 */
export interface NativeAddon {
  /** setsockopt(TCP_CORK). 0 or `-errno`. */
  readonly setCork: (fd: number, on: boolean) => number;

  /** getsockopt(TCP_CORK): 0 or 1, or `-errno`. Shows that TCP_CORK is not left on. */
  readonly getCork: (fd: number) => number;

  /** setsockopt(SO_SNDBUF): Linux doubles the value, up to its limit. 0 or `-errno`. */
  readonly setSendBuffer: (fd: number, bytes: number) => number;

  /** One send(2), with MSG_MORE where `more`. Bytes sent, or `-errno`. */
  readonly send: (fd: number, bytes: Uint8Array, more: boolean) => number;

  /**
   * sendmsg(2) of `count` pieces from piece number `first` on. A piece is three
   * numbers in `pieces`: index into `buffers`, offset, length. A vector longer
   * than IOV_MAX needs several calls, which end with the first short one. Bytes
   * sent, or `-errno` where the first call fails: -EFAULT at a piece of a mapping
   * whose file has become shorter, or which is closed.
   */
  readonly sendmsg: (
    fd: number,
    buffers: readonly (Uint8Array | FileMapping)[],
    pieces: Float64Array,
    first: number,
    count: number,
  ) => number;

  /**
   * TCP_INFO into `counters`: [0] segments out, [1] bytes sent (with
   * retransmissions), [2] data segments out, [3] bytes acknowledged. 0 or `-errno`.
   */
  readonly tcpInfo: (fd: number, counters: Float64Array) => number;

  /**
   * SO_PEERCRED of a Unix socket into `numbers`: [0] process, [1] user and [2]
   * group of the peer when it connected. 0 or `-errno`.
   */
  readonly peerCredentials: (fd: number, numbers: Float64Array) => number;

  /**
   * Bytes that were sent and that the peer has not read, or `-errno`. Of a socket,
   * SIOCOUTQ: for TCP the bytes not yet acknowledged, for a Unix socket including
   * the kernel's overhead. Of a pipe, FIONREAD.
   */
  readonly unreadByPeer: (fd: number) => number;

  /** The kind of a descriptor, one of `descriptorKind`, or `-errno`. */
  readonly kindOf: (fd: number) => number;

  /** fcntl(F_DUPFD_CLOEXEC): another descriptor of the same open file, or `-errno`. */
  readonly duplicate: (fd: number) => number;

  /**
   * preadv2(RWF_NOWAIT): read `length` bytes at `position` of the file into
   * `bytes` from `at` on, as far as they are in the page cache. Bytes read, which
   * may be fewer, or `-errno`: -EAGAIN where reading would block.
   */
  readonly preadNoWait: (
    fd: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    position: number,
  ) => number;

  /** The address of `bytes` modulo `unitBytes`: its offset in a page, for example. */
  readonly offsetIn: (bytes: Uint8Array, unitBytes: number) => number;

  /**
   * madvise(MADV_HUGEPAGE) of memory that begins at a page: Linux may commit it
   * in pages of 2 MiB. 0 or `-errno`.
   */
  readonly adviseHugePages: (bytes: Uint8Array) => number;

  /**
   * madvise(MADV_DONTNEED) of the whole pages in `bytes`: the kernel takes them
   * back, and they read as zeros. 0 or `-errno`.
   */
  readonly discardPages: (bytes: Uint8Array) => number;

  /**
   * memfd_create(2), closed at exec: a descriptor of a file in memory, of `length`
   * zeros that take no memory. Or `-errno`.
   */
  readonly createMemoryFile: (length: number) => number;

  /**
   * cachestat(2), which Linux has since 6.5: how many pages of a range of the file
   * are in the page cache, also while they are being read. 0 where the file ends
   * inside the range. Or `-errno`.
   */
  readonly cachedPages: (fd: number, position: number, length: number) => number;

  /**
   * mmap(2) of the first `length` bytes of a file, for reading. Nothing is read
   * before it is sent. Or `-errno`.
   */
  readonly createMapping: (fd: number, length: number) => FileMapping | number;

  /** Maps the file anew at the same addresses, which gives back page tables. 0 or `-errno`. */
  readonly refreshMapping: (mapping: FileMapping, fd: number) => number;

  /** The kernel refuses to read it from now on. 0 or `-errno`. */
  readonly closeMapping: (mapping: FileMapping) => number;

  /**
   * process_vm_readv(2): fills `bytes` from `position` on. Bytes copied, fewer
   * where the file has become shorter, or `-errno`.
   */
  readonly copyFromMapping: (mapping: FileMapping, position: number, bytes: Uint8Array) => number;

  /**
   * mincore(2) of at most 512 pages: how many of them are in the page cache, and
   * were read completely. Or `-errno`.
   */
  readonly residentPages: (mapping: FileMapping, position: number, length: number) => number;

  /** BLKGETSIZE64 of a block device in bytes, or `-errno`. */
  readonly blockDeviceSize: (fd: number) => number;

  /**
   * Bytes, or -1 where unknown, into `sizes`: of a block device [0] its logical
   * and [1] its physical blocks (BLKSSZGET, BLKPBSZGET); of direct I/O the
   * alignment of [2] memory and [3] offsets, 0 where there is none (STATX_DIOALIGN). 0.
   */
  readonly blockSizes: (fd: number, sizes: Float64Array) => number;

  /** FIONREAD of a socket or pipe: bytes that can be read at once, or `-errno`. */
  readonly bytesAvailable: (fd: number) => number;

  /** flock(LOCK_EX | LOCK_NB). 0 or `-errno`: -EWOULDBLOCK where it is locked. */
  readonly lockFile: (fd: number) => number;

  /** _exit(2): ends the process at once, whatever its threads do. Does not return. */
  readonly exitNow: (status: number) => never;

  /**
   * Threads for file work, started when needed, at most `threadsMax`. What has
   * finished is announced by `done(count)`, with three numbers each in
   * `results`: ticket, result (a count, 0 or `-errno`), bytes done before an error.
   */
  readonly createWorkers: (
    threadsMax: number,
    results: Float64Array,
    done: (count: number) => void,
  ) => WorkersHandle;

  /**
   * Queues `count` operations, each seven numbers: kind (see `operationKind`),
   * ticket, descriptor, position, length, mode, index into `buffers` or -1. The
   * caller keeps buffers and descriptors until they are done. 0 or `-errno`.
   */
  readonly submitWork: (
    workers: WorkersHandle,
    operations: Float64Array,
    count: number,
    buffers: readonly Uint8Array[],
  ) => number;

  /** Announces what has finished, and starts one more thread if operations are queued. 1 if it did. */
  readonly addWorker: (workers: WorkersHandle) => number;

  /** Ends the threads; what is queued is dropped. */
  readonly closeWorkers: (workers: WorkersHandle) => number;
}

/** Made by `createWorkers`. */
export type WorkersHandle = Readonly<Record<'__workers', never>>;

/**
 * Made by `createMapping`. Opaque: where the file has become shorter, reading its
 * memory ends the process, unless the kernel does it for a system call.
 */
export type FileMapping = Readonly<Record<'__mapping', never>>;

/** Results of `kindOf`. */
export const descriptorKind = {
  other: 0,
  file: 1,
  blockDevice: 2,
  pipe: 3,
  tcp: 4,
  unix: 5,
  otherSocket: 6,
} as const;

/** Flags of fallocate(2). */
export const fallocateMode = { keepSize: 1, punchHole: 2, zeroRange: 16 } as const;
