/** What tests of TLS need: certificates, and clients that send NBD_OPT_STARTTLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type ConnectionOptions } from 'node:tls';
import { generate } from 'selfsigned';
import type { Logger } from '../../lib/index.js';
import { ByteClient } from './byte-client.js';
import { opt, rep } from './numbers.js';

export interface Certified {
  readonly key: string;
  readonly cert: string;
}

export interface CertificateOptions {
  readonly organization?: string;
  readonly from?: Date;
  readonly to?: Date;
  /** Whom it is for; both unless given. */
  readonly usage?: { readonly serverAuth?: boolean; readonly clientAuth?: boolean };
}

const dayMs = 24 * 3600 * 1000;
export const yesterday = new Date(Date.now() - dayMs);
export const tomorrow = new Date(Date.now() + dayMs);
const lately = new Date(Date.now() - dayMs / 24);

/** Somebody who signs certificates. */
export async function authority(name = 'authority'): Promise<Certified> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(yesterday.getTime() - dayMs),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { key, cert };
}

export async function certified(
  by: Certified,
  name: string,
  options: CertificateOptions = {},
): Promise<Certified> {
  const { organization, from = lately, to = tomorrow } = options;
  const usage = options.usage ?? { serverAuth: true, clientAuth: true };
  const subject = [
    ...(organization === undefined ? [] : [{ name: 'organizationName', value: organization }]),
    { name: 'commonName', value: name },
  ];
  const { private: key, cert } = await generate(subject, {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: from,
    notAfterDate: to,
    ca: by,
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', ...usage },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { key, cert };
}

/**
 * NBD_OPT_STARTTLS and what follows, on a client that has answered the
 * greeting: the same client behind TLS.
 */
export async function startTls(
  client: ByteClient,
  options: ConnectionOptions,
): Promise<ByteClient> {
  const replies = await client.option(opt.startTls);
  assert.deepEqual(replies, [{ type: rep.ack, data: Buffer.alloc(0) }]);
  return shakeHands(client, options);
}

/** The TLS handshake alone. */
export async function shakeHands(
  client: ByteClient,
  options: ConnectionOptions,
): Promise<ByteClient> {
  const socket = connect({ socket: client.stream, servername: 'localhost', ...options });
  await once(socket, 'secureConnect');
  // As the connection beneath may be half open, so may this one.
  socket.on('end', () => socket.end());
  return new ByteClient(socket);
}

/** For clients with a pre-shared key and no certificate at all. */
export function preSharedKey(
  identity: string,
  psk: Uint8Array,
  version: 'TLSv1.2' | 'TLSv1.3',
): ConnectionOptions {
  return {
    minVersion: version,
    maxVersion: version,
    ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256',
    pskCallback: () => ({ identity, psk }),
    // Nobody is there to be checked: the server has proven itself by knowing the key.
    checkServerIdentity: () => undefined,
  };
}

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly details: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log that can be waited for. */
export class Log implements Logger {
  readonly entries: LogEntry[] = [];
  private readonly watchers = new Set<() => void>();

  /** What a person would have been shown. */
  get shown(): LogEntry[] {
    return this.entries.filter(({ level }) => level !== 'debug');
  }

  async find(holds: (entry: LogEntry) => boolean): Promise<LogEntry> {
    for (;;) {
      const entry = this.entries.find(holds);
      if (entry !== undefined) return entry;
      await new Promise<void>((resolve) => this.watchers.add(resolve));
    }
  }

  /** The first line that tells of this error. */
  code(code: string): Promise<LogEntry> {
    return this.find(({ details }) => details['code'] === code);
  }

  debug(details: object, message: string): void {
    this.add('debug', details, message);
  }

  info(details: object, message: string): void {
    this.add('info', details, message);
  }

  warn(details: object, message: string): void {
    this.add('warn', details, message);
  }

  error(details: object, message: string): void {
    this.add('error', details, message);
  }

  private add(level: LogEntry['level'], details: object, message: string): void {
    this.entries.push({ level, details: { ...details }, message });
    for (const wake of this.watchers) wake();
    this.watchers.clear();
  }
}
