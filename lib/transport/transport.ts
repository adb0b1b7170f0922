import type { Writable } from 'node:stream';
import type { Sender } from './sender.js';

/** All strategies: each is a way to send the pieces of a message. */
export const strategyNames = ['plain', 'cork', 'more', 'vectored', 'batched', 'stream'] as const;
/** The name of a strategy. */
export type StrategyName = (typeof strategyNames)[number];

/** Counters of a transport since `attach`. */
export interface TransportCounters {
  /** Messages that were ended. */
  messages: number;
  /** Bytes sent on the descriptor or written to the stream. */
  bytes: number;
  /** Calls of send(2) and sendmsg(2). */
  sends: number;
  /** Calls of setsockopt(TCP_CORK). */
  corks: number;
  /** Chunks written to the stream. */
  streamWrites: number;
  /** Sends of which the kernel accepted only a part, or nothing. */
  shortSends: number;
  /** Times that a socket strategy left bytes to the stream, to wait for the kernel. */
  fallbacks: number;
}

/**
 * A `Sender` on the writing half of a Node stream. The stream stays the
 * caller's: it emits 'drain', 'error' and 'close', and its reading half is
 * not affected. Do not write to it directly while messages are pending.
 *
 * If the peer closes or resets the connection, the stream is destroyed and emits
 * 'error' at most once.
 *
 * @example
 * ```js
 * import { createServer } from 'node:net';
 * import { attach } from 'nbdcork/transport';
 *
 * const server = createServer(async (socket) => {
 *   const transport = attach(socket);
 *   const payload = Buffer.from('payload');
 *   for (let count = 0; count < 3; count++) {
 *     const at = transport.header(4);
 *     transport.headers.setUint32(at, payload.length);
 *     transport.append(payload);
 *     if (!transport.endMessage()) await transport.drained();
 *   }
 *   transport.end();
 * });
 * server.listen(10809);
 * ```
 */
export interface Transport extends Sender {
  /** The strategy in effect: the requested one, or its replacement where the stream does not support it. */
  readonly strategy: StrategyName;
  /** The stream that the transport was attached to. */
  readonly stream: Writable;
  /** Calls and bytes since `attach`. */
  readonly counters: Readonly<TransportCounters>;

  /**
   * Flush, and settle when the kernel has accepted every byte: then the memory of
   * the pieces may be reused. Rejects if the stream is destroyed before.
   */
  sent(): Promise<void>;
}
