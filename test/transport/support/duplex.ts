import { Duplex } from 'node:stream';

/**
 * Two streams in memory, each of which reads what is written to the other. The
 * other's 'data' event is emitted before `write` returns.
 */
export function duplexPair(): [Duplex, Duplex] {
  const left = new Half();
  const right = new Half();
  left.other = right;
  right.other = left;
  return [left, right];
}

class Half extends Duplex {
  other: Half | undefined;
  /** The other end may write again. */
  private wanted: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: false });
  }

  override _read(): void {
    const wanted = this.wanted;
    this.wanted = undefined;
    wanted?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const other = this.other;
    if (other === undefined || other.destroyed || chunk.length === 0) {
      done();
    } else if (other.push(Buffer.from(chunk))) {
      done();
    } else {
      other.wanted = done;
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const unread = this.other?.wanted;
    if (this.other !== undefined) this.other.wanted = undefined;
    done(error);
    unread?.();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }
}
