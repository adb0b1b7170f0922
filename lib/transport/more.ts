import { SocketTransport } from './socket.js';

/** One send(2) for each piece, with MSG_MORE on all but the last of a message. */
export class MoreTransport extends SocketTransport {
  readonly strategy = 'more';

  protected override sendPieces(more: boolean): number {
    return this.sendEach(true, more);
  }
}
