/**
 * What MSG_MORE and TCP_CORK are compared with to see what they alone bring: the
 * same calls of the kernel, past Node's streams, without any flag.
 */
import { MoreOutbox } from '../../lib/transport/more.js';
import { SocketOutbox } from '../../lib/transport/socket.js';

class SendsOutbox extends SocketOutbox {
  readonly strategy = 'more';

  protected override transmit(): number {
    return this.sendEach();
  }
}

/** From now on `more` is sent so in the whole process. */
export function sendWithoutMore(): void {
  const transmit = Object.getOwnPropertyDescriptor(SendsOutbox.prototype, 'transmit');
  if (transmit === undefined) throw new Error('There is no transmit().');
  Object.defineProperty(MoreOutbox.prototype, 'transmit', transmit);
}
