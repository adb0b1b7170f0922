/** Simple backends that a test observes and controls. */
import type { TestContext } from 'node:test';
import type { Backend, MaybePromise, WriteOptions, WriteZeroesOptions } from '../../lib/index.js';

/** Bytes in which no two neighbouring words are equal. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length + 3);
  for (let at = 0; at < length; at += 4) {
    bytes.writeUInt32BE(Math.imul(at + seed, 2654435761) >>> 0, at);
  }
  return bytes.subarray(0, length);
}

function withFua(call: string, fua: boolean): string {
  return fua ? `${call} fua` : call;
}

/** All methods of a backend, synchronous. It records its calls. */
export class BufferDisk implements Backend {
  readonly size: number;
  readonly bytes: Buffer;
  readonly calls: string[] = [];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.size = bytes.length;
  }

  read(offset: number, length: number): MaybePromise<Uint8Array | readonly Uint8Array[]> {
    this.calls.push(`read ${offset} ${length}`);
    return this.bytes.subarray(offset, offset + length);
  }

  write(offset: number, data: Uint8Array, { fua }: WriteOptions): MaybePromise<void> {
    this.calls.push(withFua(`write ${offset} ${data.byteLength}`, fua));
    this.bytes.set(data, offset);
  }

  flush(): MaybePromise<void> {
    this.calls.push('flush');
  }

  trim(offset: number, length: number, { fua }: { fua: boolean }): MaybePromise<void> {
    this.calls.push(withFua(`trim ${offset} ${length}`, fua));
  }

  writeZeroes(offset: number, length: number, options: WriteZeroesOptions): MaybePromise<void> {
    const { fua, noHole, fast } = options;
    const call = `writeZeroes ${offset} ${length}${noHole ? ' noHole' : ''}${fast ? ' fast' : ''}`;
    this.calls.push(withFua(call, fua));
    this.bytes.fill(0, offset, offset + length);
  }

  cache(offset: number, length: number): MaybePromise<void> {
    this.calls.push(`cache ${offset} ${length}`);
  }

  close(): MaybePromise<void> {
    this.calls.push('close');
  }
}

/** A call that waits until the test finishes it. */
export interface WaitingCall {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** The payload of a write, as the backend received it. */
  readonly data: Uint8Array | undefined;
  finish(): void;
  fail(error: unknown): void;
}

/** A disk whose calls wait until the test finishes them. It finishes all after the test. */
export class SlowDisk implements Backend {
  readonly size: number;
  readonly bytes: Buffer;
  /** Calls in progress, in the order in which they began. */
  readonly waiting: WaitingCall[] = [];
  started = 0;
  /** Maximum number of calls, and of bytes of their payloads, in progress at once. */
  callsPeak = 0;
  bytesPeak = 0;
  closed = 0;
  private released = false;
  private readonly watchers: { count: number; reached: () => void }[] = [];

  constructor(t: TestContext, bytes: Buffer) {
    this.bytes = bytes;
    this.size = bytes.length;
    t.after(() => this.release());
  }

  /** Settles when `count` calls have been started in all. */
  callsStarted(count: number): Promise<void> {
    if (this.started >= count) return Promise.resolve();
    return new Promise((reached) => this.watchers.push({ count, reached }));
  }

  /** Finish the oldest call, or the one at `index`. */
  finish(index = 0): void {
    const [call] = this.waiting.splice(index, 1);
    if (call === undefined) throw new Error('no call is waiting');
    call.finish();
  }

  fail(error: unknown): void {
    const call = this.waiting.shift();
    if (call === undefined) throw new Error('no call is waiting');
    call.fail(error);
  }

  /** Finish all calls, and from now on every call at once. */
  release(): void {
    this.released = true;
    while (this.waiting.length > 0) this.finish();
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const read = (): Uint8Array => Buffer.from(this.bytes.subarray(offset, offset + length));
    return this.wait('read', offset, length, undefined, read);
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.wait('write', offset, data.byteLength, data, () => {
      this.bytes.set(data, offset);
    });
  }

  flush(): Promise<void> {
    return this.wait('flush', 0, 0, undefined, () => undefined);
  }

  close(): void {
    this.closed++;
  }

  private wait<T>(
    name: string,
    offset: number,
    length: number,
    data: Uint8Array | undefined,
    result: () => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      this.waiting.push({
        name,
        offset,
        length,
        data,
        finish: () => resolve(result()),
        fail: reject,
      });
      this.started++;
      this.callsPeak = Math.max(this.callsPeak, this.waiting.length);
      const bytes = this.waiting.reduce((sum, call) => sum + call.length, 0);
      this.bytesPeak = Math.max(this.bytesPeak, bytes);
      for (const { count, reached } of this.watchers) if (this.started >= count) reached();
      if (this.released) this.finish();
    });
  }
}

/** Opens disks, and counts those that are closed. */
export class DiskFactory {
  readonly disks: BufferDisk[] = [];
  private readonly content: Uint8Array;

  constructor(content: Uint8Array) {
    this.content = content;
  }

  readonly open = (): BufferDisk => {
    const disk = new BufferDisk(Buffer.from(this.content));
    this.disks.push(disk);
    return disk;
  };

  get closed(): number {
    return this.disks.filter(({ calls }) => calls.includes('close')).length;
  }
}
