import type { Writable } from 'node:stream';
import type { Transport } from '../../transport/transport.js';

/** Time for a client to receive the end of TLS. */
const timeoutMs = 1000;

/**
 * Ends TLS and then calls `destroy`: "If TLS is negotiated, the party initiating the
 * transaction SHOULD shutdown TLS first" ("Termination of the session during option
 * haggling"). With data queued that the client has not read, `destroy` is called at once.
 */
export function closeTls(
  transport: Transport,
  stream: Writable,
  closed: Promise<void>,
  destroy: () => void,
): void {
  if (!stream.writable || stream.writableLength > 0) {
    destroy();
    return;
  }
  const timer = setTimeout(destroy, timeoutMs);
  stream.once('finish', destroy);
  void closed.then(() => {
    clearTimeout(timer);
  });
  transport.end();
}
