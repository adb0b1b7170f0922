import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { NbdError } from '../errors.js';
import { descriptorKind } from '../native/addon.js';
import { addon } from '../native/load.js';
import { descriptorOf } from '../sockets/handle.js';
import { BatchedTransport } from './batched.js';
import { CorkTransport } from './cork.js';
import { MoreTransport } from './more.js';
import { PlainTransport } from './plain.js';
import { StreamTransport } from './stream.js';
import { strategyNames, type StrategyName, type Transport } from './transport.js';
import { VectoredTransport } from './vectored.js';

/** Options of `attach`. */
export interface AttachOptions {
  /** How to send. Default: `auto`, the best strategy that the stream supports. */
  readonly strategy?: StrategyName | 'auto';
  /**
   * SO_SNDBUF of a Unix socket, in bytes, which Linux limits to
   * net.core.wmem_max. A batch that fits is sent at once. Ignored for other
   * streams: TCP adjusts its buffer itself. Default: the system's.
   */
  readonly sendBufferBytes?: number;
}

/**
 * Attach a transport to the writing half of a stream: a connected `net.Socket`
 * (TCP or Unix), a `tls.TLSSocket`, or any other Writable or Duplex.
 *
 * A strategy that the stream does not support is replaced, and
 * `transport.strategy` says by which: `cork` by `plain` on everything but TCP,
 * `more`, `vectored` and `batched` by `stream` on everything but TCP and Unix
 * sockets. All four need the addon.
 *
 * On a `net.Socket`, Nagle's algorithm is turned off: a message is sent when it ends.
 *
 * @example
 * ```js
 * import { createServer } from 'node:net';
 * import { attach } from 'nbdcork/transport';
 *
 * const server = createServer((socket) => {
 *   const transport = attach(socket);
 *   transport.sendv([Buffer.from('header,'), Buffer.from('payload')]); // one sendmsg
 *   transport.end();
 * });
 * server.listen(10809);
 * ```
 *
 * @throws NbdError `NBDCORK_NOT_CONNECTED` while the socket is connecting,
 *   `NBDCORK_BAD_STRATEGY` for an unknown strategy.
 */
export function attach(stream: Writable, options: AttachOptions = {}): Transport {
  const requested = options.strategy ?? 'auto';
  checkStrategy(requested);
  const fd = descriptorOf(stream);
  if (stream instanceof Socket) stream.setNoDelay(true);
  const kind = fd === undefined ? undefined : addon?.kindOf(fd);
  if (kind === descriptorKind.unix && fd !== undefined && options.sendBufferBytes !== undefined) {
    // An error is ignored: the socket works with the buffer that it has.
    addon?.setSendBuffer(fd, options.sendBufferBytes);
  }
  if (requested === 'plain') return new PlainTransport(stream);
  if (requested === 'stream') return new StreamTransport(stream);
  if (!(stream instanceof Socket) || fd === undefined || addon === undefined) {
    return requested === 'cork' ? new PlainTransport(stream) : new StreamTransport(stream);
  }
  if (requested === 'cork') {
    // Uncorking shows whether the descriptor supports TCP_CORK.
    return addon.setCork(fd, false) === 0
      ? new CorkTransport(stream, fd, addon)
      : new PlainTransport(stream);
  }
  if (kind !== descriptorKind.tcp && kind !== descriptorKind.unix) {
    return new StreamTransport(stream);
  }
  if (requested === 'more') return new MoreTransport(stream, fd, addon);
  if (requested === 'vectored') return new VectoredTransport(stream, fd, addon);
  return new BatchedTransport(stream, fd, addon);
}

/** @throws NbdError `NBDCORK_BAD_STRATEGY` for an unknown strategy. */
export function checkStrategy(name: string): void {
  if (name === 'auto' || strategyNames.some((known) => known === name)) return;
  throw new NbdError(
    'NBDCORK_BAD_STRATEGY',
    `Unknown strategy '${name}'. Choose auto, ${strategyNames.join(', ')}.`,
  );
}
