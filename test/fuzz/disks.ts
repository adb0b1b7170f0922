/** The disks of the fuzzed server, as `model/profiles.ts` describes them. */
import {
  MemoryBackend,
  NbdError,
  PartialError,
  type Backend,
  type Extent,
  type MaybePromise,
  type MetaContext,
  type StatusExtent,
  type WriteZeroesOptions,
} from '../../lib/index.js';
import {
  failingBlockBytes,
  failingKinds,
  narrowFlags,
  sparseHole,
  wideFlags,
} from './model/profiles.js';

/** A disk that can return to its initial content. */
export interface Resettable extends Backend {
  reset(): void;
  /** Its content, read without the server. */
  peek(offset: number, length: number): Buffer;
}

/** Enough for all writes of a stream. */
const chunksMax = 1024;

/** Memory in small chunks, with a hole where the base has zeros. */
export class MemoryDisk extends MemoryBackend implements Resettable {
  private readonly base: Buffer;

  constructor(base: Buffer) {
    super(base.length, { chunkBytes: 4096, chunksMax });
    this.base = base;
    this.reset();
  }

  reset(): void {
    const { base } = this;
    this.resize(0);
    this.resize(base.length);
    this.write(0, base.subarray(0, sparseHole.start));
    this.write(sparseHole.end, base.subarray(sparseHole.end));
  }

  peek(offset: number, length: number): Buffer {
    const bytes = super.read(offset, length);
    return bytes instanceof Uint8Array ? Buffer.from(bytes) : Buffer.concat(bytes);
  }
}

/** The minimum of a disk: read-only. */
export class PlainDisk implements Resettable {
  readonly size: number;
  protected readonly bytes: Buffer;
  private readonly base: Buffer;

  constructor(base: Buffer) {
    this.base = base;
    this.bytes = Buffer.from(base);
    this.size = base.length;
  }

  reset(): void {
    this.base.copy(this.bytes);
  }

  peek(offset: number, length: number): Buffer {
    return this.bytes.subarray(offset, offset + length);
  }

  read(offset: number, length: number): MaybePromise<Uint8Array> {
    return Buffer.from(this.bytes.subarray(offset, offset + length));
  }
}

/** Adds writes, without FUA and FLUSH. */
export class WritableDisk extends PlainDisk {
  write(offset: number, data: Uint8Array): void {
    this.bytes.set(data, offset);
  }
}

/** A minimum block size and custom contexts. All calls but those of one context are synchronous. */
export class BlockDisk extends WritableDisk {
  readonly blockSize = { minimum: 512, preferred: 4096, maximum: 32_768 };
  readonly rotational = true;
  readonly contexts: readonly MetaContext[] = [
    { name: 'x-fuzz:narrow', status: (offset) => this.statuses(offset, 1024, narrowFlags) },
    {
      name: 'x-fuzz:wide',
      wide: true,
      status: (offset) => this.statuses(offset, 2048, wideFlags),
    },
    {
      name: 'x-fuzz:later',
      status: (offset) => Promise.resolve([...this.statuses(offset, 1024, narrowFlags)]),
    },
  ];

  flush(): void {
    // Nothing is cached.
  }

  trim(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length);
  }

  writeZeroes(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length);
  }

  *extents(offset: number, length: number): Generator<Extent, void> {
    for (let at = offset; at < offset + length; at += 512) {
      const zero = this.bytes.subarray(at, at + 512).every((byte) => byte === 0);
      yield { length: 512, hole: false, zero };
    }
  }

  private *statuses(
    offset: number,
    blockBytes: number,
    flagsOf: (offset: bigint) => bigint,
  ): Generator<StatusExtent, void> {
    for (let at = offset; at < this.size;) {
      const end = Math.min(at - (at % blockBytes) + blockBytes, this.size);
      yield { length: end - at, flags: flagsOf(BigInt(at)) };
      at = end;
    }
  }
}

/** Answers in any order, after at most a few turns of the event loop. */
export class SlowDisk extends PlainDisk {
  /** Calls in progress. */
  active = 0;
  private calls = 0;

  override reset(): void {
    super.reset();
    this.calls = 0;
  }

  override read(offset: number, length: number): MaybePromise<Uint8Array> {
    return this.afterTurns(offset, length, () =>
      Buffer.from(this.bytes.subarray(offset, offset + length)),
    );
  }

  write(offset: number, data: Uint8Array): MaybePromise<void> {
    return this.afterTurns(offset, data.length, () => {
      this.bytes.set(data, offset);
    });
  }

  flush(): MaybePromise<void> {
    return this.afterTurns(0, this.size, () => undefined);
  }

  trim(offset: number, length: number): MaybePromise<void> {
    return this.afterTurns(offset, length, () => {
      this.bytes.fill(0, offset, offset + length);
    });
  }

  writeZeroes(offset: number, length: number, { fast }: WriteZeroesOptions): MaybePromise<void> {
    return this.afterTurns(offset, length, () => {
      if (fast) throw new NbdError('ENOTSUP', 'Zeroing is as slow as writing here.');
      this.bytes.fill(0, offset, offset + length);
    });
  }

  cache(offset: number, length: number): MaybePromise<void> {
    return this.afterTurns(offset, length, () => undefined);
  }

  extents(offset: number, length: number): MaybePromise<Iterable<Extent>> {
    return this.afterTurns(offset, length, () => {
      const half = Math.ceil(length / 2);
      return [half, this.size - offset - half]
        .filter((bytes) => bytes > 0)
        .map((bytes) => ({ length: bytes, hole: false, zero: false }));
    });
  }

  /** The result of `work`, some turns of the event loop from now. */
  protected async afterTurns<T>(offset: number, length: number, work: () => T): Promise<T> {
    // "The server calls a method only with a range that lies inside the disk."
    const inside = offset >= 0 && length > 0 && offset + length <= this.size;
    if (!inside) throw new Error(`the server called with ${length} bytes at ${offset}`);
    const turns = Math.imul(++this.calls, 2654435761) >>> 30;
    this.active++;
    try {
      for (let turn = 0; turn < turns; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      return work();
    } finally {
      this.active--;
    }
  }
}

/** Fails as `model/profiles.ts` describes, in every possible way. */
export class FailingDisk extends SlowDisk {
  override read(offset: number, length: number): MaybePromise<Uint8Array> {
    const kind = kindAt(offset);
    if (kind === 5) return Buffer.alloc(length + 1);
    const middle = offset + Math.floor(length / 2);
    return this.failing(offset, length, () => super.read(offset, length), {
      data: this.bytes.subarray(offset, kind === 7 ? middle + 1 : middle),
    });
  }

  override write(offset: number, data: Uint8Array): MaybePromise<void> {
    return this.failing(offset, data.length, () => super.write(offset, data));
  }

  override trim(offset: number, length: number): MaybePromise<void> {
    return this.failing(offset, length, () => super.trim(offset, length));
  }

  override cache(offset: number, length: number): MaybePromise<void> {
    return this.failing(offset, length, () => super.cache(offset, length));
  }

  override writeZeroes(
    offset: number,
    length: number,
    options: WriteZeroesOptions,
  ): MaybePromise<void> {
    if (options.fast) return super.writeZeroes(offset, length, options);
    return this.failing(offset, length, () => super.writeZeroes(offset, length, options));
  }

  override extents(offset: number, length: number): MaybePromise<Iterable<Extent>> {
    const kind = kindAt(offset);
    if (kind === 4) return [{ length: 0, hole: false, zero: false }];
    if (kind === 5) return this.afterTurns(offset, length, () => []);
    if (kind === 7) return Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' }));
    return this.failing(offset, length, () => super.extents(offset, length));
  }

  /** Fails synchronously or later, with every kind of value that can be thrown. */
  private failing<T>(
    offset: number,
    length: number,
    work: () => MaybePromise<T>,
    { data }: { data?: Uint8Array } = {},
  ): MaybePromise<T> {
    const failedAt = offset + Math.floor(length / 2);
    const progress = data === undefined ? { failedAt } : { failedAt, data };
    switch (kindAt(offset)) {
      case 2:
        throw new Error(`no such sector: ${'long '.repeat(2000)}`);
      case 3:
        return this.afterTurns(offset, length, () => {
          throw new NbdError('ENOSPC', 'The disk is full.');
        });
      case 4:
        if (length % 2 === 0) throw new PartialError('EIO', 'half of it', progress);
        return Promise.reject(new PartialError('EIO', 'ünïcode '.repeat(900), progress));
      case 5:
        return Promise.reject(Object.assign(new Error('quota'), { code: 'EDQUOT' }));
      case 6:
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- a backend may be any JavaScript
        throw 'no error at all';
      case 7:
        throw new PartialError('EPERM', '', progress);
      default:
        return work();
    }
  }
}

function kindAt(offset: number): number {
  return Math.floor(offset / failingBlockBytes) % failingKinds;
}
