import { SocketTransport } from './socket.js';

/**
 * TCP_CORK around a message: setsockopt(2), one send(2) for each piece,
 * setsockopt(2). The socket is uncorked afterwards even where a send fails.
 */
export class CorkTransport extends SocketTransport {
  readonly strategy = 'cork';

  protected override sendPieces(): number {
    const { addon, fd, counters } = this;
    counters.corks += 2;
    addon.setCork(fd, true);
    try {
      return this.sendEach(false, false);
    } finally {
      addon.setCork(fd, false);
    }
  }
}
