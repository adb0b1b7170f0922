import { VectoredOutbox } from './vectored.js';

/** One sendmsg for all messages of a tick: what the thread did not try. */
export class BatchedOutbox extends VectoredOutbox {
  override readonly strategy = 'batched';

  protected override messageEnded(): void {
    this.batch();
  }
}
