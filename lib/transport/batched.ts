import { VectoredTransport } from './vectored.js';

/** One sendmsg(2) for all messages of a tick. */
export class BatchedTransport extends VectoredTransport {
  override readonly strategy = 'batched';

  protected override messageEnded(): void {
    this.sendBatch();
  }
}
