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
}
