/** The options of `serve` for TLS. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { NbdError } from '../../errors.js';
import type { Logger } from '../../server/log/logger.js';
import { tlsModes, type TlsMode } from '../../handshake/client.js';
import { readTlsFolder } from '../../server/tls/folder.js';
import type { TlsOptions } from '../../server/tls/options.js';
import { readPreSharedKeys } from '../../server/tls/psk-file.js';
import type { TlsParameters } from '../../wire/uri.js';
import { append } from './parsing.js';

const keyFile = 'server-key.pem';
/** Permission bits: read by the group or by all. */
const readableByOthers = 0o044;

export interface TlsFlags {
  readonly tls?: TlsMode;
  readonly tlsCertificates?: string;
  readonly tlsPsk?: string;
  readonly tlsVerifyPeer?: true;
  readonly tlsExport?: readonly string[];
}

export function addTlsOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--tls <mode>',
        'TLS mode; "on" leaves the choice to clients (default: "on" with certificates or keys, else "off")',
      ).choices(tlsModes),
    )
    .option(
      '--tls-certificates <folder>',
      'folder of server-cert.pem and server-key.pem, and optionally ca-cert.pem and ca-crl.pem',
    )
    .option('--tls-psk <file>', 'file of pre-shared keys, as psktool writes it')
    .option(
      '--tls-verify-peer',
      'reject clients without a certificate signed by ca-cert.pem or a pre-shared key',
    )
    .option(
      '--tls-export <name>',
      'require TLS for this export, with --tls=on; may be repeated',
      append,
    );
}

/**
 * Reads the files that the options name. Undefined without TLS options.
 * @throws NbdError `NBDCORK_BAD_TLS` for files that cannot be used and options
 *   that contradict each other.
 */
export async function openTls(flags: TlsFlags): Promise<TlsOptions | undefined> {
  const { tls: mode, tlsCertificates, tlsPsk, tlsVerifyPeer } = flags;
  const needsTls =
    tlsVerifyPeer === true
      ? '--tls-verify-peer'
      : flags.tlsExport !== undefined
        ? '--tls-export'
        : undefined;
  if (mode === 'off' && needsTls !== undefined) {
    throw new NbdError('NBDCORK_BAD_TLS', `${needsTls} cannot be used with --tls=off.`);
  }
  if (tlsCertificates === undefined && tlsPsk === undefined) {
    if (needsTls === undefined && (mode ?? 'off') === 'off') return undefined;
    throw new NbdError(
      'NBDCORK_BAD_TLS',
      'TLS needs certificates or pre-shared keys: add --tls-certificates or --tls-psk.',
    );
  }
  return {
    ...(mode !== undefined && { mode }),
    ...(tlsCertificates !== undefined && (await readTlsFolder(tlsCertificates))),
    ...(tlsPsk !== undefined && { preSharedKeys: await readPreSharedKeys(tlsPsk) }),
    ...(tlsVerifyPeer !== undefined && { verifyPeer: tlsVerifyPeer }),
  };
}

/** Logs a warning for each file with keys that other users than its owner can read. */
export async function warnOfReadableKeys(flags: TlsFlags, logger: Logger): Promise<void> {
  const { tlsCertificates, tlsPsk } = flags;
  const paths = [
    ...(tlsPsk === undefined ? [] : [tlsPsk]),
    ...(tlsCertificates === undefined ? [] : [join(tlsCertificates, keyFile)]),
  ];
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined);
    if (stats === undefined || (stats.mode & readableByOthers) === 0) continue;
    logger.warn({ path }, `Other users can read the keys in ${path}: change it with chmod 600.`);
  }
}

/** TLS parameters of the URI for the command of `--run`, which can read the same files. */
export function tlsParameters(
  { tlsCertificates, tlsPsk }: TlsFlags,
  options: TlsOptions | undefined,
): TlsParameters {
  const [user] = options?.preSharedKeys?.keys() ?? [];
  if (tlsPsk !== undefined) {
    return { pskFile: resolve(tlsPsk), ...(user !== undefined && { user }) };
  }
  return tlsCertificates === undefined ? {} : { certificates: resolve(tlsCertificates) };
}
