/**
 * The only file that knows Node's private fields. Node gives no public way to
 * a socket's descriptor, nor to `onread` for sockets that a server accepted.
 */
import { Socket, type Server } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { codeOf, NbdError } from '../errors.js';

/** The raw descriptor beneath a TCP, Unix or pipe socket; undefined for every other stream. */
export function descriptorOf(stream: object): number | undefined {
  if (!(stream instanceof Socket) || stream instanceof TLSSocket) return undefined;
  if (stream.connecting) {
    throw new NbdError(
      'NBDCORK_NOT_CONNECTED',
      "The socket is still connecting. Attach the transport in its 'connect' event.",
    );
  }
  const handle: unknown = Reflect.get(stream, '_handle');
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/**
 * Bytes that a stream has yet to hand to the kernel. Node counts a write as a
 * whole until its last byte is gone; its handle knows how much of it is.
 */
export function waitingBytes(stream: Writable): number {
  const handle: unknown = Reflect.get(stream, '_handle');
  if (typeof handle !== 'object' || handle === null || !('writeQueueSize' in handle)) {
    return stream.writableLength;
  }
  return stream.writableLength + Number(handle.writeQueueSize);
}

/**
 * Have a stream write its chunks one by one. With `_writev` Node hands TLS all of
 * them at once, copied into memory that is taken for this one write.
 */
export function writeChunkByChunk(stream: Writable): void {
  Object.defineProperty(stream, '_writev', { value: null, configurable: true });
}

/** Where `Socket` puts what it reads: see Node's `onread` option of `new net.Socket`. */
export interface ReadInto {
  /** Called after every read: the memory for the next one; anything else keeps the last. */
  readonly buffer: () => Uint8Array;
  readonly callback: (count: number, buffer: Uint8Array) => boolean;
}

/**
 * The same connection as a socket that reads into memory of ours. The accepted
 * one, of a server with `pauseOnConnect`, must not be used afterwards. Where a
 * future Node has no such fields the accepted socket is returned, which then
 * has to be read by its 'data' events.
 */
export function withReadInto(accepted: Socket, server: Server, onread: ReadInto): Socket {
  const handle: unknown = Reflect.get(accepted, '_handle');
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) {
    return accepted;
  }
  Reflect.set(accepted, '_handle', null);
  const options = { handle, onread, allowHalfOpen: true };
  const socket = new Socket(options);
  // Without these server.close() would not wait for the connection.
  Reflect.set(socket, 'server', server);
  Reflect.set(socket, '_server', server);
  return socket;
}

/**
 * Have a socket that is in use, such as one of TLS, read into memory of ours
 * from now on: Node takes `onread` only for sockets that it makes itself. False
 * where a future Node keeps that elsewhere; then there are 'data' events.
 */
export function readIntoFromNow(socket: Socket, onread: ReadInto): boolean {
  const handle: unknown = Reflect.get(socket, '_handle');
  const keys = new Map(
    Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]),
  );
  const [buffer, callback, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((key) =>
    keys.get(key),
  );
  if (buffer === undefined || callback === undefined || next === undefined) return false;
  if (typeof handle !== 'object' || handle === null || !('useUserBuffer' in handle)) return false;
  if (typeof handle.useUserBuffer !== 'function') return false;
  const first = onread.buffer();
  Reflect.set(socket, buffer, first);
  Reflect.set(socket, callback, onread.callback);
  Reflect.set(socket, next, onread.buffer);
  Reflect.apply(handle.useUserBuffer, handle, [first]);
  return true;
}

/** A socket on a descriptor that is a pipe or a connected socket, reading into memory of ours. */
export function socketOnDescriptor(fd: number, onread: ReadInto, writable: boolean): Socket {
  // `onread` is documented, but not in the types of the constructor.
  const options = { fd, readable: true, writable, allowHalfOpen: true, onread };
  return new Socket(options);
}

/**
 * What OpenSSL has against the peer's certificate, as Node names it; undefined
 * where nothing. Node tells only of the sockets of its own `tls.Server`, which
 * cannot take over a connection. A future Node that has no such method
 * verifies nobody.
 */
export function verifyErrorOf(socket: TLSSocket): string | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('verifyError' in handle)) return 'UNKNOWN';
  if (typeof handle.verifyError !== 'function') return 'UNKNOWN';
  const error: unknown = Reflect.apply(handle.verifyError, handle, []);
  if (error === null || error === undefined) return undefined;
  return codeOf(error) ?? 'UNKNOWN';
}
