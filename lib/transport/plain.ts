import { Outbox } from './outbox.js';

/**
 * A write a piece, as code does that knows nothing of this package. The
 * reference that every other strategy is compared with. Works anywhere.
 */
export class PlainOutbox extends Outbox {
  readonly strategy = 'plain';
  private readonly waiting: Uint8Array[] = [];
  private writing = false;

  protected override messageEnded(): void {
    this.emit();
  }

  protected override emit(): void {
    if (!this.usable()) return;
    const headers = this.headersCopy();
    for (let index = 0; index < this.pieceCount; index++) {
      this.waiting.push(this.view(index, headers));
    }
    this.reset();
    // A Duplex may hand a piece on at once to somebody who answers with a
    // message of his own: that one goes behind the one being written.
    if (!this.writing) this.writeAll();
  }

  private writeAll(): void {
    this.writing = true;
    try {
      for (const piece of this.waiting) {
        this.counters.streamWrites++;
        this.stream.write(piece);
      }
    } finally {
      this.waiting.length = 0;
      this.writing = false;
    }
  }
}
