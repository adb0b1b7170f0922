/**
 * What MSG_MORE and TCP_CORK are compared with to see what they alone bring: the
 * same calls of the kernel, past Node's streams, without any flag.
 */
import { MoreOutbox } from '../../lib/transport/more.js';
import { SocketOutbox } from '../../lib/transport/socket.js';

/** A send a piece, each for itself. */
class SendsOutbox extends SocketOutbox {
  readonly strategy = 'more';

  protected override transmit(): number {
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

/** From now on `more` is sent so in the whole process. */
export function sendWithoutMore(): void {
  const transmit = Object.getOwnPropertyDescriptor(SendsOutbox.prototype, 'transmit');
  if (transmit === undefined) throw new Error('There is no transmit().');
  Object.defineProperty(MoreOutbox.prototype, 'transmit', transmit);
}
