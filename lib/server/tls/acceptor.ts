/**
 * The TLS handshake of a connection, after NBD_OPT_STARTTLS was acknowledged.
 * Caller: connection.ts. Calls: Node's TLSSocket, which takes over the
 * handle of a socket, so that OpenSSL works between libuv and us.
 * Owns: the context with certificates and keys.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { TLSSocket, type SecureContext } from 'node:tls';
import { NbdError } from '../../errors.js';
import { tlsModes, type ClientTls, type TlsMode } from '../../handshake/client.js';
import { enableReadInto, verifyErrorOf, type ReadInto } from '../../sockets/handle.js';
import { secureContext } from './context.js';
import { reasonOf, verifyReason } from './failure.js';
import type { TlsOptions } from './options.js';

/** A stand-in for the key of an identity that is not known. */
const unknownKeyBytes = 32;

/** What a TLS handshake brought. */
export interface SecuredStream {
  readonly socket: TLSSocket;
  /** True where reads go into the memory of `ReadInto`, false where they come as 'data'. */
  readonly readsInto: boolean;
  readonly tls: ClientTls;
}

/** What is known of a client's pre-shared key while hands are shaken. */
interface Offered {
  identity?: string;
  unknownIdentity?: string;
}

export class TlsAcceptor {
  readonly mode: TlsMode;
  private readonly context: SecureContext | undefined;
  private readonly verifyPeer: boolean;
  private readonly preSharedKeys: ReadonlyMap<string, Uint8Array> | undefined;

  /** @throws NbdError `NBDCORK_BAD_TLS` for options that make no sense. */
  constructor(options: TlsOptions | undefined) {
    const mode = options?.mode ?? (options === undefined ? 'off' : 'on');
    checkMode(mode, options?.verifyPeer);
    this.context = options === undefined || mode === 'off' ? undefined : secureContext(options);
    this.mode = mode;
    this.verifyPeer = options?.verifyPeer === true;
    this.preSharedKeys = options?.preSharedKeys;
  }

  /**
   * Shake hands on a connection of which nothing is read any more.
   * @throws NbdError `NBDCORK_TLS_FAILED` with the reason, `NBDCORK_CLIENT_LEFT`
   *   where the connection was closed from this side.
   */
  accept(stream: Duplex, onread: ReadInto): Promise<SecuredStream> {
    const { context } = this;
    if (context === undefined) throw new NbdError('NBDCORK_BAD_TLS', 'TLS is not set up.');
    return new Promise((resolve, reject) => {
      const offered: Offered = {};
      const fail = (reason: string, cause?: unknown): void => {
        socket.destroy();
        reject(new NbdError('NBDCORK_TLS_FAILED', `The TLS handshake failed: ${reason}.`, cause));
      };
      const socket = new TLSSocket(stream, {
        isServer: true,
        secureContext: context,
        requestCert: this.verifyPeer,
        ...this.preSharedKeyOptions(offered),
      });
      // Also for what comes behind the failure, such as a reset.
      socket.on('error', (error) => {
        fail(reasonOf(error, offered.unknownIdentity), error);
      });
      socket.once('end', () => {
        fail('the client hung up');
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
        // At once: what came behind the client's last message is delivered next.
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
        // TLS 1.2 would tell strangers which identities there are, so a wrong
        // one fails like a wrong key. TLS 1.3 may go on with another one, or
        // with a certificate.
        return socket.getProtocol() === 'TLSv1.3' ? null : randomBytes(unknownKeyBytes);
      },
    };
  }

  private describe(socket: TLSSocket, identity: string | undefined): ClientTls {
    const protocol = socket.getProtocol() ?? '';
    const cipher = socket.getCipher();
    // An identity was offered, but proven only where its key was used: TLS 1.3
    // says so as if a session had been resumed, which is not done here.
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

/** A mode that is mistyped, or off in spite of what is asked for, would let clients in without TLS. */
function checkMode(mode: string, verifyPeer: unknown): void {
  const modes: readonly string[] = tlsModes;
  if (!modes.includes(mode)) {
    throw new NbdError(
      'NBDCORK_BAD_TLS',
      `There is no TLS mode '${mode}'. Choose ${modes.join(', ')}.`,
    );
  }
  if (verifyPeer !== undefined && typeof verifyPeer !== 'boolean') {
    throw new NbdError('NBDCORK_BAD_TLS', 'verifyPeer must be true or false.');
  }
  if (mode === 'off' && verifyPeer === true) {
    throw new NbdError('NBDCORK_BAD_TLS', 'verifyPeer needs TLS, which the mode turns off.');
  }
}

/** As RFC 4514 writes it, from Node's lines, which are escaped as it asks for. */
function distinguishedName(subject: string): string {
  return subject.split('\n').reverse().join(',').replaceAll(' + ', '+');
}
