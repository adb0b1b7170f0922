import type { FileMapping } from '../native/addon.js';

/** A mapping of a file, and what its sender needs when pages have left the cache. */
export interface MappedMemory {
  /** What the addon sends from. */
  readonly mapping: FileMapping;
  /** Whether the range can be sent at this moment without waiting for a device. */
  isResident(start: number, length: number): boolean;
  /**
   * The bytes of a range that is not resident, read on another thread. Rejects
   * where the file cannot be read or has become shorter.
   */
  read(start: number, length: number): Promise<Uint8Array>;
  /** The memory that `read` returned is not used any more. */
  releaseRead(bytes: Uint8Array): void;
}
