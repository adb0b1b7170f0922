import { SocketOutbox } from './socket.js';

/** A send a piece, with MSG_MORE on all but the message's last. */
export class MoreOutbox extends SocketOutbox {
  readonly strategy = 'more';

  protected override transmit(more: boolean): number {
    const last = this.pieceCount - 1;
    let taken = 0;
    for (let index = 0; index <= last; index++) {
      const piece = this.view(index, this.arena);
      const result = this.addon.send(this.fd, piece, more || index < last);
      this.counters.sends++;
      if (result < 0) return taken > 0 ? taken : result;
      taken += result;
      if (result < piece.byteLength) return taken;
    }
    return taken;
  }
}
