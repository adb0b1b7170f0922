/**
 * The TLS handshake of a connection, after NBD_OPT_STARTTLS was acknowledged.
 * Node's TLSSocket takes over the handle of the socket. Owns the context with
 * certificates and keys.
 */
import { randomBytes } from 'node:crypto';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { TLSSocket, type SecureContext } from 'node:tls';
import { NbdError } from '../../errors.js';
import { tlsModes, type ClientTls, type TlsMode } from '../../handshake/client.js';
import { enableReadInto, verifyErrorOf, type ReadInto } from '../../sockets/handle.js';
import { secureContext } from './context.js';
import { reasonOf, verifyReason } from './failure.js';
import type { TlsOptions } from './options.js';

/** Length of the random key that stands in for that of an unknown identity. */
const unknownKeyBytes = 32;

/** The result of a TLS handshake. */
export interface SecuredStream {
  readonly socket: TLSSocket;
  /** True if reads go into the memory of `ReadInto`, false if they are 'data' events. */
  readonly readsInto: boolean;
  readonly tls: ClientTls;
}

/** The PSK identity that a client offers during the handshake. */
interface Offered {
  identity?: string;
  unknownIdentity?: string;
}

export class TlsAcceptor {
  readonly mode: TlsMode;
  private readonly context: SecureContext | undefined;
  private readonly verifyPeer: boolean;
  private readonly preSharedKeys: ReadonlyMap<string, Uint8Array> | undefined;

  /** @throws NbdError `NBDCORK_BAD_TLS` for invalid options. */
  constructor(options: TlsOptions | undefined) {
    const mode = options?.mode ?? (options === undefined ? 'off' : 'on');
    checkMode(mode, options?.verifyPeer);
    this.context = options === undefined || mode === 'off' ? undefined : secureContext(options);
    this.mode = mode;
    this.verifyPeer = options?.verifyPeer === true;
    this.preSharedKeys = options?.preSharedKeys;
  }

  /**
   * Performs the handshake on streams that have no other reader.
   * @throws NbdError `NBDCORK_TLS_FAILED` with the reason; `NBDCORK_CLIENT_LEFT`
   *   if the connection was closed by this side.
   */
  accept(readable: Readable, writable: Writable, onread: ReadInto): Promise<SecuredStream> {
    const { context } = this;
    if (context === undefined) throw new NbdError('NBDCORK_BAD_TLS', 'TLS is off.');
    return new Promise((resolve, reject) => {
      const offered: Offered = {};
      const fail = (reason: string, cause?: unknown): void => {
        socket.destroy();
        reject(new NbdError('NBDCORK_TLS_FAILED', `TLS handshake failed: ${reason}.`, cause));
      };
      const socket = new TLSSocket(duplexOf(readable, writable), {
        isServer: true,
        secureContext: context,
        requestCert: this.verifyPeer,
        ...this.preSharedKeyOptions(offered),
      });
      // Stays for errors after a failure, such as a reset.
      socket.on('error', (error) => {
        fail(reasonOf(error, offered.unknownIdentity), error);
      });
      socket.once('end', () => {
        fail('the client disconnected');
      });
      socket.once('close', () => {
        reject(new NbdError('NBDCORK_CLIENT_LEFT', 'The connection was closed.'));
      });
      socket.once('secure', () => {
        const refusal = this.verifyPeer ? verifyErrorOf(socket) : undefined;
        if (refusal !== undefined) {
          fail(verifyReason(refusal));
          return;
        }
        socket.removeAllListeners('end');
        // Before returning: data after the client's last message is delivered next.
        const readsInto = enableReadInto(socket, onread);
        resolve({ socket, readsInto, tls: this.describe(socket, offered.identity) });
      });
    });
  }

  private preSharedKeyOptions(offered: Offered): object {
    const { preSharedKeys } = this;
    if (preSharedKeys === undefined) return {};
    return {
      pskCallback: (socket: TLSSocket, identity: string) => {
        const key = preSharedKeys.get(identity);
        if (key !== undefined) {
          offered.identity = identity;
          return key;
        }
        offered.unknownIdentity = identity;
        // In TLS 1.2 an unknown identity fails like a wrong key, so that clients
        // cannot probe identities. TLS 1.3 can continue with another identity, or
        // with a certificate.
        return socket.getProtocol() === 'TLSv1.3' ? null : randomBytes(unknownKeyBytes);
      },
    };
  }

  private describe(socket: TLSSocket, identity: string | undefined): ClientTls {
    const protocol = socket.getProtocol() ?? '';
    const cipher = socket.getCipher();
    // An offered identity is proven only if its key was used. TLS 1.3 reports that
    // as a resumed session; real resumption is disabled.
    const usesKey = protocol === 'TLSv1.3' ? socket.isSessionReused() : cipher.name.includes('PSK');
    const certificate = this.verifyPeer ? socket.getPeerX509Certificate() : undefined;
    return {
      protocol,
      cipher: cipher.standardName,
      ...(certificate !== undefined && {
        certificateSubject: distinguishedName(certificate.subject),
      }),
      ...(usesKey && identity !== undefined && { pskIdentity: identity }),
    };
  }
}

/** An invalid mode, or one that contradicts other options, could let clients in without TLS. */
function checkMode(mode: string, verifyPeer: unknown): void {
  const modes: readonly string[] = tlsModes;
  if (!modes.includes(mode)) {
    throw new NbdError(
      'NBDCORK_BAD_TLS',
      `Unknown TLS mode '${mode}': choose ${modes.join(', ')}.`,
    );
  }
  if (verifyPeer !== undefined && typeof verifyPeer !== 'boolean') {
    throw new NbdError('NBDCORK_BAD_TLS', 'verifyPeer must be a boolean.');
  }
  if (mode === 'off' && verifyPeer === true) {
    throw new NbdError('NBDCORK_BAD_TLS', "verifyPeer cannot be used with the mode 'off'.");
  }
}

/** In the form of RFC 4514, from the lines of Node.js, which are escaped accordingly. */
function distinguishedName(subject: string): string {
  return subject.split('\n').reverse().join(',').replaceAll(' + ', '+');
}

/** Joins two pipes into one stream. */
function duplexOf(readable: Readable, writable: Writable): Duplex {
  if (writable instanceof Duplex && Object.is(readable, writable)) return writable;
  return Duplex.from({ readable, writable });
}
