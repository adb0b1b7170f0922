import { fstatSync, type Stats } from 'node:fs';
import { Socket, type Server } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { NbdError } from '../errors.js';
import { socketOnDescriptor, withReadInto, type ReadInto } from './handle.js';

/** The two halves of a connection, which are one object but for pipes. */
interface Streams {
  readonly input: Readable;
  readonly output: Writable;
  /** True where reads go into the memory of `ReadInto`, false where they come as 'data'. */
  readonly readsInto: boolean;
}

/** Opens a connection's streams, given where its reads are to go. */
export type OpenStreams = (onread: ReadInto) => Streams;

/** For a connection that a listening socket accepted. */
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

/** For any duplex stream. */
export function duplexStreams(stream: Duplex): OpenStreams {
  return () => ({ input: stream, output: stream, readsInto: false });
}

/**
 * For standard input and output: a socket that is both, or two pipes. Pipes
 * that TLS may be used on are no handle that it could take over: they are read
 * as streams.
 */
export function stdioStreams(mayUseTls: boolean): OpenStreams {
  return (onread) => {
    const [stdin, stdout] = [fstatSync(0), fstatSync(1)];
    if (!isStream(stdin) || !isStream(stdout)) {
      throw new NbdError(
        'NBDCORK_BAD_STDIO',
        'Standard input and output must be a socket or pipes that lead to a client. ' +
          'Let the client start this program, or listen on a socket.',
      );
    }
    if (stdin.isSocket() && stdin.ino === stdout.ino) {
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

function isStream(stats: Stats): boolean {
  return stats.isSocket() || stats.isFIFO();
}
