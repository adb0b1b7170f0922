/**
 * The C++ addon as TypeScript sees it; load.ts loads it. Every function borrows
 * its descriptor and buffers for the call, or until its promise settles, keeps
 * nothing, and gives a count (or 0), or `-errno`. Only a programmer's error (a
 * wrong type, a range outside its buffer) throws.
 */
export interface NativeAddon {
  /** setsockopt(TCP_CORK). 0 or `-errno`. */
  readonly setCork: (fd: number, on: boolean) => number;

  /** getsockopt(TCP_CORK): 0 or 1, or `-errno`. */
  readonly getCork: (fd: number) => number;

  /** setsockopt(SO_SNDBUF): Linux grants twice as much, within its own limit. 0 or `-errno`. */
  readonly setSendBuffer: (fd: number, bytes: number) => number;

  /** getsockopt(SO_SNDBUF): bytes, the kernel's bookkeeping among them, or `-errno`. */
  readonly getSendBuffer: (fd: number) => number;

  /** One send(2) of `bytes`, with MSG_MORE where `more`. Bytes taken or `-errno`. */
  readonly send: (fd: number, bytes: Uint8Array, more: boolean) => number;

  /**
   * One vector: `count` pieces from piece number `first` on, each three numbers
   * in `pieces`: index into `buffers`, offset, length. A vector longer than
   * IOV_MAX takes several sendmsg(2), until one is short. Bytes taken, or
   * `-errno` where the first call took nothing.
   */
  readonly sendmsg: (
    fd: number,
    buffers: readonly Uint8Array[],
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
   * SO_PEERCRED of a Unix socket into `numbers`: the process, the user and the
   * group that connected. 0 or `-errno`.
   */
  readonly peerCredentials: (fd: number, numbers: Float64Array) => number;

  /**
   * Bytes that were sent and that the peer has not taken: SIOCOUTQ of a socket
   * (of TCP those not acknowledged, of a Unix socket with the kernel's
   * bookkeeping), FIONREAD of a pipe. Or `-errno`.
   */
  readonly untakenBytes: (fd: number) => number;

  /** What a descriptor is: one of `descriptorKind`, or `-errno`. */
  readonly kindOf: (fd: number) => number;

  /**
   * preadv2(RWF_NOWAIT): `length` bytes at `position` of the file into
   * `bytes` from `at` on, only as far as they are cached. Bytes read (may be
   * short) or `-errno`; -EAGAIN where reading would wait.
   */
  readonly preadNoWait: (
    fd: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    position: number,
  ) => number;

  /** fallocate(2) with `mode` flags of `fallocateMode`. Never retried. 0 or `-errno`. */
  readonly fallocate: (fd: number, mode: number, offset: number, length: number) => Promise<number>;

  /**
   * lseek(SEEK_DATA) and lseek(SEEK_HOLE) by turns, from `offset` until `end` is
   * passed or `found` is full. Fills `found`, which nobody else may touch until
   * then, with pairs: where data begins and where it ends; what lies between is
   * holes. The end of the file is an empty pair, and the last. The count of
   * numbers, or `-errno` (-ENXIO: the file ends at `offset` or before).
   */
  readonly findData: (
    fd: number,
    offset: number,
    end: number,
    found: Float64Array,
  ) => Promise<number>;

  /** Where the memory of `bytes` begins in its page, or other unit of `unitBytes`. */
  readonly offsetIn: (bytes: Uint8Array, unitBytes: number) => number;

  /**
   * madvise(MADV_HUGEPAGE) for memory that begins with a page: whatever is
   * touched in it is committed in pages of 2 MiB. A hint: 0 or `-errno`.
   */
  readonly adviseHugePages: (bytes: Uint8Array) => number;

  /** BLKGETSIZE64 of a block device in bytes, or `-errno`. */
  readonly blockDeviceSize: (fd: number) => number;
}

/** Answers of `kindOf`. */
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
