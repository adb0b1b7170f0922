import { SocketTransport } from './socket.js';

/** One sendmsg(2) for each message. */
export class VectoredTransport extends SocketTransport {
  readonly strategy: 'vectored' | 'batched' = 'vectored';

  protected override sendPieces(): number {
    this.counters.sends++;
    return this.addon.sendmsg(this.fd, this.buffers, this.pieces, 0, this.pieceCount);
  }
}
