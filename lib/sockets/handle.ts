/**
 * The only file that uses Node's private fields. Node has no public access to a
 * socket's descriptor, nor `onread` for sockets that a server accepted.
 */
import { Socket, type Server } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { codeOf, NbdError } from '../errors.js';

/**
 * The descriptor of a TCP, Unix or pipe socket. Undefined for any other stream.
 *
 * @throws NbdError `NBDCORK_NOT_CONNECTED` while the socket is connecting.
 */
export function descriptorOf(stream: object): number | undefined {
  if (!(stream instanceof Socket) || stream instanceof TLSSocket) return undefined;
  if (stream.connecting) {
    throw new NbdError(
      'NBDCORK_NOT_CONNECTED',
      "The socket is still connecting. Wait for its 'connect' event.",
    );
  }
  const handle = handleOf(stream);
  if (handle === undefined || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/**
 * Bytes that a stream has not yet given to the kernel. `writableLength` counts a
 * write in full until its last byte is sent. The handle knows the exact number.
 */
export function pendingBytes(stream: Writable): number {
  const handle = handleOf(stream);
  if (handle === undefined || !('writeQueueSize' in handle)) return stream.writableLength;
  return stream.writableLength + Number(handle.writeQueueSize);
}

/**
 * Make a stream write its chunks one by one. With `_writev`, Node passes all of
 * them to TLS at once, copied into memory that it allocates for this write.
 */
export function writeChunkByChunk(stream: Writable): void {
  Object.defineProperty(stream, '_writev', { value: null, configurable: true });
}

/** Memory that a socket reads into: see the option `onread` of Node's `new net.Socket`. */
export interface ReadInto {
  /** Called after every read. Returns the memory for the next one. */
  readonly buffer: () => Uint8Array;
  readonly callback: (count: number, buffer: Uint8Array) => boolean;
}

/**
 * Move an accepted connection to a socket that reads into the given memory. The
 * accepted socket, of a server with `pauseOnConnect`, must not be used afterwards.
 * If a future Node lacks these fields, the accepted socket is returned, to be read
 * with its 'data' events.
 */
export function withReadInto(accepted: Socket, server: Server, onread: ReadInto): Socket {
  const handle = handleOf(accepted);
  if (handle === undefined || !('useUserBuffer' in handle)) return accepted;
  Reflect.set(accepted, '_handle', null);
  const options = { handle, onread, allowHalfOpen: true };
  const socket = new Socket(options);
  // Without these, server.close() does not wait for the connection.
  Reflect.set(socket, 'server', server);
  Reflect.set(socket, '_server', server);
  return socket;
}

/**
 * Make an existing socket, such as one of TLS, read into the given memory from now
 * on. Node accepts `onread` only when it creates a socket. False if a future Node
 * lacks these fields: then read with 'data' events.
 */
export function enableReadInto(socket: Socket, onread: ReadInto): boolean {
  const handle = handleOf(socket);
  const keys = new Map(
    Object.getOwnPropertySymbols(socket).map((symbol) => [symbol.description, symbol]),
  );
  const [buffer, callback, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((key) =>
    keys.get(key),
  );
  if (buffer === undefined || callback === undefined || next === undefined) return false;
  if (handle === undefined || !('useUserBuffer' in handle)) return false;
  if (typeof handle.useUserBuffer !== 'function') return false;
  const first = onread.buffer();
  Reflect.set(socket, buffer, first);
  Reflect.set(socket, callback, onread.callback);
  Reflect.set(socket, next, onread.buffer);
  Reflect.apply(handle.useUserBuffer, handle, [first]);
  return true;
}

/** A socket on a descriptor, a pipe or a connected socket, that reads into the given memory. */
export function socketOnDescriptor(fd: number, onread: ReadInto, writable: boolean): Socket {
  // `onread` is documented, but missing in the types of the constructor.
  const options = { fd, readable: true, writable, allowHalfOpen: true, onread };
  return new Socket(options);
}

/**
 * The code of OpenSSL's error about the peer's certificate, or undefined where it
 * is valid. Node reports it only for sockets of `tls.Server`, which cannot adopt an
 * existing connection. If a future Node lacks this method, no certificate is valid.
 */
export function verifyErrorOf(socket: TLSSocket): string | undefined {
  const handle = handleOf(socket);
  if (handle === undefined || !('verifyError' in handle)) return 'UNKNOWN';
  if (typeof handle.verifyError !== 'function') return 'UNKNOWN';
  const error: unknown = Reflect.apply(handle.verifyError, handle, []);
  if (error === null || error === undefined) return undefined;
  return codeOf(error) ?? 'UNKNOWN';
}

/** Node's object for the descriptor, with fields that vary with its kind. */
function handleOf(stream: object): object | undefined {
  const handle: unknown = Reflect.get(stream, '_handle');
  return typeof handle === 'object' && handle !== null ? handle : undefined;
}
