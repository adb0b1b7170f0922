import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { NbdError } from '../errors.js';
import { descriptorKind } from '../native/addon.js';
import { addon } from '../native/load.js';
import { BatchedOutbox } from './batched.js';
import { CorkOutbox } from './cork.js';
import { descriptorOf } from '../sockets/handle.js';
import { MoreOutbox } from './more.js';
import { PlainOutbox } from './plain.js';
import { StreamOutbox } from './stream.js';
import { strategyNames, type StrategyName, type Transport } from './transport.js';
import { VectoredOutbox } from './vectored.js';

/** Options of `attach`. */
export interface AttachOptions {
  /** How to send. `auto`, the default, takes the best that the descriptor supports. */
  readonly strategy?: StrategyName | 'auto';
  /**
   * How much the kernel may hold of what a Unix socket sent, in bytes; it
   * grants what net.core.wmem_max allows. A batch that fits is sent at once.
   * TCP is left alone: it finds the right size by itself.
   */
  readonly sendBufferBytes?: number;
}

/**
 * Put a transport on the writing half of a stream: a connected `net.Socket`
 * (TCP, Unix), a `tls.TLSSocket`, or any other Writable or Duplex.
 *
 * A strategy that the descriptor cannot do is replaced by the next best:
 * `cork` by `plain` where there is no TCP_CORK, every socket strategy by
 * `stream` where there is no socket or no addon. `transport.strategy` tells.
 *
 * Sockets of TCP get TCP_NODELAY: a message is sent when it is whole.
 *
 * @throws NbdError `NBDCORK_NOT_CONNECTED` while the socket is connecting,
 *   `NBDCORK_BAD_STRATEGY` for a strategy that does not exist.
 */
export function attach(stream: Writable, options: AttachOptions = {}): Transport {
  const wanted = options.strategy ?? 'auto';
  checkStrategy(wanted);
  const fd = descriptorOf(stream);
  if (stream instanceof Socket) stream.setNoDelay(true);
  const kind = fd === undefined ? undefined : addon?.kindOf(fd);
  if (kind === descriptorKind.unix && fd !== undefined && options.sendBufferBytes !== undefined) {
    // Where it is refused the socket keeps what it has, and works as well.
    addon?.setSendBuffer(fd, options.sendBufferBytes);
  }
  if (wanted === 'plain') return new PlainOutbox(stream);
  if (wanted === 'stream') return new StreamOutbox(stream);
  if (!(stream instanceof Socket) || fd === undefined || addon === undefined) {
    return wanted === 'cork' ? new PlainOutbox(stream) : new StreamOutbox(stream);
  }
  const takesRawSends = kind === descriptorKind.tcp || kind === descriptorKind.unix;
  if (wanted === 'cork') {
    // Probed once: uncorking shows whether corking works.
    return addon.setCork(fd, false) === 0
      ? new CorkOutbox(stream, fd, addon)
      : new PlainOutbox(stream);
  }
  if (!takesRawSends) return new StreamOutbox(stream);
  if (wanted === 'more') return new MoreOutbox(stream, fd, addon);
  if (wanted === 'vectored') return new VectoredOutbox(stream, fd, addon);
  return new BatchedOutbox(stream, fd, addon);
}

/** @throws NbdError `NBDCORK_BAD_STRATEGY` for a strategy that does not exist. */
export function checkStrategy(wanted: string): void {
  if (wanted === 'auto' || strategyNames.some((name) => name === wanted)) return;
  throw new NbdError(
    'NBDCORK_BAD_STRATEGY',
    `There is no strategy '${wanted}'. Choose auto, ${strategyNames.join(', ')}.`,
  );
}
