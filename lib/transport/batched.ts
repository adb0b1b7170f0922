import { VectoredOutbox } from './vectored.js';

/** One sendmsg for all messages of a tick. */
export class BatchedOutbox extends VectoredOutbox {
  override readonly strategy = 'batched';

  protected override messageEnded(): void {
    this.batch();
  }
}
