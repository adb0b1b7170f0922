import type { Writable } from 'node:stream';
import type { Sender } from './sender.js';

/** The ways to send, as the benchmark compares them. See each one's file. */
export const strategyNames = ['plain', 'cork', 'more', 'vectored', 'batched', 'stream'] as const;
/** The name of a way to send. */
export type StrategyName = (typeof strategyNames)[number];

/** What a transport has done since it was attached. */
export interface TransportCounters {
  /** Messages that were ended. */
  messages: number;
  /** Bytes given to the kernel or to the stream. */
  bytes: number;
  /** Calls of send(2) and sendmsg(2). */
  sends: number;
  /** Calls of setsockopt(TCP_CORK). */
  corks: number;
  /** Chunks given to the stream. */
  streamWrites: number;
  /** Sends that the kernel took only in part, or not at all. */
  shortSends: number;
  /** Messages or batches of a socket strategy whose bytes, or their rest, went through the stream. */
  fallbacks: number;
}

/**
 * A `Sender` on the writing half of a Node stream. The stream stays the
 * caller's: its reading half is untouched, and its events are the transport's
 * events ('drain', 'error', 'close'). Do not write to it past the transport
 * while messages are pending.
 *
 * A peer that closes or resets the connection destroys the stream, which emits
 * 'error' at most once.
 */
export interface Transport extends Sender {
  /** The strategy in effect: the one asked for, or its replacement where the stream cannot do that. */
  readonly strategy: StrategyName;
  /** The stream that the transport was attached to. */
  readonly stream: Writable;
  /** What was sent since attaching. */
  readonly counters: Readonly<TransportCounters>;

  /**
   * Flush, and settle when the kernel has every byte: then the memory of the
   * pieces may be used again. Rejects where the stream is destroyed before.
   */
  sent(): Promise<void>;
}
