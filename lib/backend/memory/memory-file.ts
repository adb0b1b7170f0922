import { constants, fstatSync, openSync } from 'node:fs';
import { NbdError } from '../../errors.js';
import { memoryBytesMax } from '../../memory/pages.js';
import { fallocateMode } from '../../native/addon.js';
import { addon } from '../../native/load.js';
import type { ThreadSource, WriteZeroesOptions } from '../backend.js';
import { systemError } from '../file/io/errors.js';
import { WritableFile } from '../file/writable-file.js';
import { checkDiskSize } from '../size.js';
import { noSpace } from './memory-backend.js';

/** Memory that is allocated in one system call, which nothing can end early. */
const provisionBytesMax = 2 ** 26;

/**
 * A disk in a file in memory (memfd), which several threads of the process can
 * open. What was never written, or was trimmed, takes no memory. A
 * `MemoryBackend` is faster, and is known to one thread only.
 */
export class MemoryFile extends WritableFile {
  /**
   * A new disk of `size` zeros.
   * @throws NbdError `NBDCORK_BAD_SIZE`, or `NBDCORK_OPEN_FAILED` without the addon.
   */
  static create(size: number): MemoryFile {
    checkDiskSize(size);
    if (addon === undefined) {
      throw new NbdError(
        'NBDCORK_OPEN_FAILED',
        'A memory disk for several threads needs the addon ("npm rebuild nbdcork").',
      );
    }
    const fd = addon.createMemoryFile(size);
    if (fd < 0) throw systemError(fd, `create a memory disk of ${size} bytes`);
    return MemoryFile.on(fd);
  }

  /** The disk of a descriptor, which stays that of the caller. */
  static open(fd: number): MemoryFile {
    return MemoryFile.on(openSync(`/proc/self/fd/${fd}`, constants.O_RDWR));
  }

  private static on(fd: number): MemoryFile {
    return new MemoryFile({ fd, size: fstatSync(fd).size, blockDevice: false }, addon ?? {});
  }

  override get threadSource(): ThreadSource {
    return { kind: 'memory', fd: this.fd };
  }

  override writeZeroes(offset: number, length: number, options: WriteZeroesOptions): Promise<void> {
    if (!options.noHole) return super.writeZeroes(offset, length, options);
    if (length > memoryBytesMax()) return Promise.reject(noSpace(length));
    this.requireOpen();
    return this.track(this.provision(offset, length, options));
  }

  /** Files in memory cannot be zeroed without holes in one step. Faster than receiving zeros. */
  private async provision(
    offset: number,
    length: number,
    options: WriteZeroesOptions,
  ): Promise<void> {
    await super.writeZeroes(offset, length, { ...options, noHole: false });
    const end = offset + length;
    for (let at = offset; at < end; at += provisionBytesMax) {
      this.requireOpen();
      const count = Math.min(provisionBytesMax, end - at);
      const result = (await this.io.fallocate?.(this.fd, fallocateMode.keepSize, at, count)) ?? 0;
      if (result < 0) throw systemError(result, `allocate ${count} bytes at ${at} of the disk`);
    }
  }
}
