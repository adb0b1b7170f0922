import { SocketOutbox } from './socket.js';

/** One sendmsg a message. */
export class VectoredOutbox extends SocketOutbox {
  readonly strategy: 'vectored' | 'batched' = 'vectored';

  protected override transmit(): number {
    this.counters.sends++;
    return this.addon.sendmsg(this.fd, this.buffers, this.pieces, 0, this.pieceCount);
  }
}
