/**
 * The baseline of MSG_MORE and TCP_CORK: the same system calls without any flag,
 * bypassing Node.js streams.
 */
import { MoreTransport } from '../../lib/transport/more.js';
import { SocketTransport } from '../../lib/transport/socket.js';

class SendTransport extends SocketTransport {
  readonly strategy = 'more';

  protected override sendPieces(): number {
    return this.sendEach(false, false);
  }
}

/** Replaces `more` in the whole process. */
export function sendWithoutMore(): void {
  const sendPieces = Object.getOwnPropertyDescriptor(SendTransport.prototype, 'sendPieces');
  if (sendPieces === undefined) throw new Error('sendPieces() is missing.');
  Object.defineProperty(MoreTransport.prototype, 'sendPieces', sendPieces);
}
