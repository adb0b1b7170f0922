import type { Backend, Bytes } from '../../lib/index.js';

/** A test double: a disk whose reads take longer than they need to. */
export class SlowDisk implements Backend {
  readonly size: number;
  readonly multiConn = true;
  private readonly disk: Required<Pick<Backend, 'write' | 'flush'>> & Backend;
  private readonly wastedMs: number;

  constructor(
    disk: Required<Pick<Backend, 'write' | 'flush'>> & Backend,
    wastedMicroseconds: number,
  ) {
    this.size = disk.size;
    this.disk = disk;
    this.wastedMs = wastedMicroseconds / 1000;
  }

  read(offset: number, length: number): Bytes | Promise<Bytes> {
    const end = performance.now() + this.wastedMs;
    while (performance.now() < end);
    return this.disk.read(offset, length);
  }

  write(offset: number, data: Uint8Array): void | Promise<void> {
    return this.disk.write(offset, data, { fua: false });
  }
}
