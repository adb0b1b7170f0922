/** Two streams in memory that are to each other what the two ends of a socket are. */
import { Duplex } from 'node:stream';

export function socketLikePair(): [Duplex, End] {
  const near = new End();
  const far = new End();
  near.other = far;
  far.other = near;
  return [near, far];
}

class End extends Duplex {
  other: End | undefined;
  /** Lets the other end write again. */
  private wanted: ((error?: Error) => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    const { wanted } = this;
    this.wanted = undefined;
    wanted?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const { other } = this;
    if (other === undefined || other.destroyed) done(gone('EPIPE'));
    else if (other.readableEnded || other.push(Buffer.from(chunk))) done();
    else other.wanted = done;
  }

  override _final(done: () => void): void {
    if (this.other?.destroyed === false) this.other.push(null);
    done();
  }

  /** The other end reads what was sent before and then the end, unless this was a reset. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other, wanted } = this;
    this.wanted = undefined;
    done(error);
    wanted?.(gone('EPIPE'));
    if (other === undefined || other.destroyed) return;
    if (error !== null) other.destroy(gone('ECONNRESET'));
    else if (!this.writableFinished) other.push(null);
  }
}

function gone(code: string): Error {
  return Object.assign(new Error(code), { code });
}
