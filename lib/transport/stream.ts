import { Outbox } from './outbox.js';

/**
 * Node's own vector: cork, a write a piece, uncork, so one writev for all
 * messages of a tick. The best that works without a socket of our own: TLS,
 * where Node then makes records of header and payload together, pipes, any
 * Duplex, systems without the addon.
 */
export class StreamOutbox extends Outbox {
  readonly strategy = 'stream';

  protected override messageEnded(): void {
    this.batch();
  }

  protected override emit(): void {
    if (!this.usable()) return;
    this.giveToStream();
  }
}
