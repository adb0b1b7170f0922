import { fstatSync, type Stats } from 'node:fs';
import { Socket, type Server } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { NbdError } from '../errors.js';
import { descriptorKind } from '../native/addon.js';
import { addon } from '../native/load.js';
import { socketOnDescriptor, withReadInto, type ReadInto } from './handle.js';

/** The two halves of a connection: one object, except for two pipes. */
interface Streams {
  readonly input: Readable;
  readonly output: Writable;
  /** True if reads use the memory of `ReadInto`, false if they emit 'data'. */
  readonly readsInto: boolean;
}

/** Opens the streams of a connection, with the memory to read into. */
export type OpenStreams = (onread: ReadInto) => Streams;

/** The streams of an accepted connection. `keepAliveMs` is the idle time of TCP keep-alive. */
export function acceptedStreams(
  accepted: Socket,
  listener: Server,
  keepAliveMs: number,
): OpenStreams {
  return (onread) => {
    const socket = withReadInto(accepted, listener, onread);
    socket.setKeepAlive(true, keepAliveMs);
    return { input: socket, output: socket, readsInto: socket !== accepted };
  };
}

/** The streams of a connection that was accepted elsewhere: its descriptor is closed with them. */
export function descriptorStreams(fd: number, keepAliveMs: number): OpenStreams {
  return (onread) => {
    const socket = socketOnDescriptor(fd, onread, true);
    socket.setKeepAlive(true, keepAliveMs);
    return { input: socket, output: socket, readsInto: true };
  };
}

/** The streams of a connection that is any Duplex. */
export function duplexStreams(stream: Duplex): OpenStreams {
  return () => ({ input: stream, output: stream, readsInto: false });
}

/**
 * The streams of a connection on standard input and output: one socket, or two
 * pipes. Where standard input is a socket, as inetd passes it, standard output
 * may be something else, such as a log.
 * TLS over two pipes needs streams that emit 'data'.
 */
export function stdioStreams(mayUseTls: boolean): OpenStreams {
  return (onread) => {
    const [stdin, stdout] = [fstatSync(0), fstatSync(1)];
    const oneSocket = stdin.isSocket() && !isOtherHalf(stdin, stdout);
    if (!oneSocket && !(isStream(stdin) && isStream(stdout))) {
      throw new NbdError(
        'NBDCORK_BAD_STDIO',
        'Standard input and output are not connected to a client: they must be a socket or pipes. ' +
          'Let the client start this program, or listen on a socket.',
      );
    }
    if (oneSocket) {
      const socket = socketOnDescriptor(0, onread, true);
      return { input: socket, output: socket, readsInto: true };
    }
    const input = mayUseTls
      ? new Socket({ fd: 0, readable: true, writable: false, allowHalfOpen: true })
      : socketOnDescriptor(0, onread, false);
    const output = new Socket({ fd: 1, readable: false, writable: true });
    return { input, output, readsInto: !mayUseTls };
  };
}

/** Whether output belongs to the client of a socket on input: Node.js gives a child two sockets. */
function isOtherHalf(stdin: Stats, stdout: Stats): boolean {
  if (!stdout.isSocket() || stdin.ino === stdout.ino) return false;
  return addon?.kindOf(0) !== descriptorKind.tcp && creatorOf(0) === creatorOf(1);
}

/** The process at the other end of a Unix socket, where it is known. */
function creatorOf(fd: number): number {
  const credentials = new Float64Array(3);
  return addon?.peerCredentials(fd, credentials) === 0 ? (credentials[0] ?? 0) : 0;
}

function isStream(stats: Stats): boolean {
  return stats.isSocket() || stats.isFIFO();
}
