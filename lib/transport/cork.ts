import { SocketOutbox } from './socket.js';

/**
 * TCP_CORK around a message: setsockopt, a send a piece, setsockopt. Always
 * uncorked afterwards, whatever fails.
 */
export class CorkOutbox extends SocketOutbox {
  readonly strategy = 'cork';

  protected override transmit(): number {
    const { addon, fd, counters } = this;
    counters.corks += 2;
    addon.setCork(fd, true);
    try {
      return this.sendEach();
    } finally {
      addon.setCork(fd, false);
    }
  }

  private sendEach(): number {
    let taken = 0;
    for (let index = 0; index < this.pieceCount; index++) {
      const piece = this.view(index, this.arena);
      const result = this.addon.send(this.fd, piece, false);
      this.counters.sends++;
      if (result < 0) return taken > 0 ? taken : result;
      taken += result;
      if (result < piece.byteLength) return taken;
    }
    return taken;
  }
}
