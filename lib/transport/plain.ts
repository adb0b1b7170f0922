import { BaseTransport } from './base.js';

/**
 * One `write` for each piece, as in code that does not use this package: the
 * reference for comparisons. Works on any stream.
 */
export class PlainTransport extends BaseTransport {
  readonly strategy = 'plain';
  private readonly unwritten: Uint8Array[] = [];
  private writing = false;

  protected override messageEnded(): void {
    this.sendPending();
  }

  protected override sendPending(): void {
    if (!this.ensureWritable()) return;
    // Copied, since the stream may keep them while their memory changes.
    for (let index = 0; index < this.pieceCount; index++) {
      this.unwritten.push(Buffer.from(this.pieceAt(index)));
    }
    this.clear();
    // The other end of a Duplex may respond at once, and lead to a further
    // message here: its pieces follow those being written.
    if (!this.writing) this.writeAll();
  }

  private writeAll(): void {
    this.writing = true;
    try {
      for (const piece of this.unwritten) {
        this.counters.streamWrites++;
        this.stream.write(piece);
      }
    } finally {
      this.unwritten.length = 0;
      this.writing = false;
    }
  }
}
