/**
 * What MSG_MORE and TCP_CORK are compared with to see what they alone bring: the
 * same calls of the kernel, past Node's streams, without any flag.
 */
import { MoreTransport } from '../../lib/transport/more.js';
import { SocketTransport } from '../../lib/transport/socket.js';

class SendTransport extends SocketTransport {
  readonly strategy = 'more';

  protected override transmit(): number {
    return this.sendEach(false, false);
  }
}

/** From now on `more` is sent so in the whole process. */
export function sendWithoutMore(): void {
  const transmit = Object.getOwnPropertyDescriptor(SendTransport.prototype, 'transmit');
  if (transmit === undefined) throw new Error('There is no transmit().');
  Object.defineProperty(MoreTransport.prototype, 'transmit', transmit);
}
