import type { MappedMemory } from '../memory/mapped-memory.js';

/**
 * The sending half of a connection, as the protocol's code sees it. It runs
 * without Node: a browser can implement it on a WebSocket.
 *
 * A *message* is what belongs together, such as a reply's header and its
 * payload. It is made of *pieces*, each a view of the caller's memory.
 *
 * Memory: a piece is borrowed until `queuedBytes` is 0. Do not change or
 * transfer it before.
 *
 * Backpressure is that of Node's streams: a method that returns `false` has
 * accepted what it was given, and asks the caller to wait for `drained`.
 *
 * Nothing here throws because of the peer. Sending on a destroyed connection
 * does nothing and returns `false`.
 */
export interface Sender {
  /** Bytes that were accepted and that the kernel does not have yet. */
  readonly queuedBytes: number;

  /** The connection is closed, or is being closed: nothing more can be sent. */
  readonly destroyed: boolean;

  /** A method has returned `false`, and the bytes that it waits for are not sent yet. */
  readonly needsDrain: boolean;

  /** Settles when the caller may send again, or when the connection is closed. Never rejects. */
  drained(): Promise<void>;

  /** Send one piece, as send(2) does: with `more` the message continues. */
  send(piece: Uint8Array, more?: boolean): boolean;

  /** Send one message that consists of these pieces. */
  sendv(pieces: readonly Uint8Array[]): boolean;

  /**
   * Reserve `length` bytes (at most `headerBytesMax`) of the message in
   * `headers`, and return their position there. Write them at once, before any
   * other call. This saves a buffer for each header.
   *
   * @throws NbdError `NBDCORK_HEADER_TOO_LONG` for any other length.
   */
  header(length: number): number;

  /** The memory that `header` reserves bytes in. Ask for it for each message: it is not always the same. */
  readonly headers: DataView;

  /**
   * Add a piece to the message: `length` bytes of `memory` from `start` on, or
   * all of it. Nothing is sent before `endMessage`. Many pieces of one `memory`
   * object cost less than as many views.
   *
   * @throws NbdError `NBDCORK_BAD_PIECE` for a piece that lies outside `memory`.
   */
  append(memory: Uint8Array, start?: number, length?: number): void;

  /**
   * `appendMapping` sends what the kernel reads from a mapping. Where it is false,
   * bytes are copied for it, which costs more than reading them into memory.
   */
  readonly sendsMappings: boolean;

  /**
   * Add a piece that is a range of a mapped file, of which all pages are resident.
   * Those that are not any more when it is sent are read on another thread. Where
   * that fails, or the file has become shorter, the connection is closed: the
   * header that promises the bytes has left.
   */
  appendMapping(memory: MappedMemory, start: number, length: number): void;

  /**
   * `lease.release()` is called once, when every piece that was appended before
   * is with the kernel, or was copied or dropped: then its memory may be reused.
   */
  releaseWhenSent(lease: Lease): void;

  /** End the message. The strategy decides whether it is sent now or with others. */
  endMessage(): boolean;

  /**
   * Hold messages back until the caller's own `flush`, instead of until the end
   * of the tick. For callers that answer a batch of requests.
   */
  gather(): void;

  /** Send all pending messages now instead of at the end of the tick. */
  flush(): boolean;

  /** Flush, then end the connection's writing half. */
  end(): void;
}

/** Memory that is given back. */
export interface Lease {
  /** Called once. The memory may be used again. */
  release(): void;
}

/** The longest header that `Sender.header` reserves, in bytes. */
export const headerBytesMax = 1024;
