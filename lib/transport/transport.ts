import type { Writable } from 'node:stream';

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
 * The sending half of a connection. A *message* is what belongs together, such
 * as a reply's header and payload; it is made of *pieces*, each a view of
 * somebody's memory.
 *
 * The stream stays the caller's: its events 'drain', 'error' and 'close' are
 * the transport's, its reading half is untouched. What must not be done is
 * writing to it behind the transport's back while messages are pending.
 *
 * Memory: a piece is borrowed until its bytes are with the kernel. That is so
 * when `queuedBytes` is 0, which it is after every `flush` that the kernel took
 * whole, and at the stream's 'drain' where nothing was sent in the meantime.
 * Until then it must not be reused.
 *
 * Backpressure is Node's: a method that returns `false` asks to wait for the
 * stream's 'drain'; what was given is accepted all the same.
 *
 * Nothing here throws because of the peer: a connection that is closed or reset
 * destroys the stream, which emits 'error' once. Sending on a destroyed stream
 * does nothing and returns `false`.
 */
export interface Transport {
  /** The strategy in effect, which is another than the one asked for where the descriptor cannot do that. */
  readonly strategy: StrategyName;
  /** The stream that the transport was attached to. */
  readonly stream: Writable;
  /** What was sent since attaching. */
  readonly counters: Readonly<TransportCounters>;

  /** Bytes accepted but not yet with the kernel. */
  readonly queuedBytes: number;

  /** One piece, as send(2): with `more` the message goes on. */
  send(piece: Uint8Array, more?: boolean): boolean;

  /** One message as a vector. */
  sendv(pieces: readonly Uint8Array[]): boolean;

  /**
   * Room for `length` bytes (at most `headerBytesMax`) of the message, to be
   * written at once into `headers` from the returned position on. For senders
   * that make a header a message and want no buffer for each.
   */
  header(length: number): number;

  /** Where `header` makes room. */
  readonly headers: DataView;

  /**
   * Add a piece to the message: `length` bytes of `memory` from `start` on, or
   * all of it. Nothing is sent before `endMessage`. Many pieces of one `memory`
   * object cost less than as many views.
   */
  append(memory: Uint8Array, start?: number, length?: number): void;

  /** The message is whole. */
  endMessage(): boolean;

  /**
   * Announce a `flush` of the caller's own: until then no flush is scheduled
   * for the end of the tick. For callers that answer a whole batch of requests.
   */
  gather(): void;

  /** Send all messages that are pending now instead of at the end of the tick. */
  flush(): boolean;

  /**
   * Flush, and settle when the kernel has everything: then memory that was
   * given may be used again. Rejects where the stream is destroyed before.
   */
  sent(): Promise<void>;

  /** Flush, then end the stream. */
  end(): void;
}

/** The longest header that `Transport.header` makes room for, in bytes. */
export const headerBytesMax = 1024;
