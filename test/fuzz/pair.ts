/** Two connected streams in memory that behave like the two ends of a socket. */
import { Duplex } from 'node:stream';

export function socketPair(): [Duplex, PairEnd] {
  const near = new PairEnd();
  const far = new PairEnd();
  near.other = far;
  far.other = near;
  return [near, far];
}

class PairEnd extends Duplex {
  other: PairEnd | undefined;
  /** Lets the other end continue to write. */
  private continueWrite: ((error?: Error) => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    const { continueWrite } = this;
    this.continueWrite = undefined;
    continueWrite?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const { other } = this;
    if (other === undefined || other.destroyed) done(socketError('EPIPE'));
    else if (other.readableEnded || other.push(Buffer.from(chunk))) done();
    else other.continueWrite = done;
  }

  override _final(done: () => void): void {
    if (this.other?.destroyed === false) this.other.push(null);
    done();
  }

  /** The other end reads what was sent before and then the end, unless this was a reset. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other, continueWrite } = this;
    this.continueWrite = undefined;
    done(error);
    continueWrite?.(socketError('EPIPE'));
    if (other === undefined || other.destroyed) return;
    if (error !== null) other.destroy(socketError('ECONNRESET'));
    else if (!this.writableFinished) other.push(null);
  }
}

function socketError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
