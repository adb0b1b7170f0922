/**
 * What a disk may hold: its initial content, and the changes that were requested
 * since, in order. Shares no code with lib/.
 */

/** Bytes from `start` up to `end` become those of `data`, or zeros. */
export interface Change {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array | undefined;
  /** False where it may have been done wholly, in part, or not at all. */
  readonly certain: boolean;
}

export class Journal {
  readonly changes: Change[] = [];
  private readonly base: Buffer;

  constructor(base: Buffer) {
    this.base = base;
  }

  add(change: Change): void {
    if (change.end > change.start) this.changes.push(change);
  }

  /**
   * The position of the first wrong byte in `bytes`, which were read at `offset`, or
   * undefined. `before` is the number of changes requested before the read. Later
   * ones may be visible too: concurrent requests that overlap have no order.
   */
  wrongAt(offset: number, bytes: Uint8Array, before: number): number | undefined {
    const expected = this.expected(offset, bytes.length, before);
    if (expected.equals(bytes)) return undefined;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === expected[at]) continue;
      if (!this.allows(offset + at, byte, before)) return offset + at;
    }
    return undefined;
  }

  /** The content after all changes that are certain, and no others. */
  private expected(offset: number, length: number, before: number): Buffer {
    const bytes = Buffer.alloc(length);
    if (offset < this.base.length) this.base.copy(bytes, 0, offset, offset + length);
    const end = offset + length;
    for (const change of this.changes.slice(0, before)) {
      const start = Math.max(change.start, offset);
      const stop = Math.min(change.end, end);
      if (!change.certain || start >= stop) continue;
      if (change.data === undefined) bytes.fill(0, start - offset, stop - offset);
      else {
        const data = change.data.subarray(start - change.start, stop - change.start);
        bytes.set(data, start - offset);
      }
    }
    return bytes;
  }

  private allows(position: number, byte: number, before: number): boolean {
    for (let index = this.changes.length - 1; index >= 0; index--) {
      const change = this.changes[index];
      if (change === undefined || position < change.start || position >= change.end) continue;
      const value = change.data === undefined ? 0 : change.data[position - change.start];
      if (value === byte) return true;
      if (index < before && change.certain) return false;
    }
    return (this.base[position] ?? 0) === byte;
  }
}
