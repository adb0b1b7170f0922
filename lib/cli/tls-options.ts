/** The options of `serve` that are about TLS. */
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { NbdError } from '../errors.js';
import { tlsModes, type TlsMode } from '../handshake/security.js';
import type { ExportOptions } from '../server/options.js';
import { readPreSharedKeys } from '../server/tls/psk-file.js';
import { readTlsFolder } from '../server/tls/folder.js';
import type { TlsOptions } from '../server/tls/options.js';
import type { TlsParameters } from '../wire/uri.js';

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
        'off, on: for clients that ask for it, or require (default: on with certificates or keys)',
      ).choices(tlsModes),
    )
    .option(
      '--tls-certificates <folder>',
      'with server-cert.pem, server-key.pem, ca-cert.pem, ca-crl.pem',
    )
    .option('--tls-psk <file>', "with pre-shared keys, of GnuTLS's psktool")
    .option(
      '--tls-verify-peer',
      'refuse clients without a certificate of ca-cert.pem, or a pre-shared key',
    )
    .option(
      '--tls-export <name>',
      'an export that needs TLS where --tls=on; may be repeated',
      (name: string, names: readonly string[] | undefined) => [...(names ?? []), name],
    );
}

/**
 * What the files hold that the options name. Undefined without any.
 * @throws NbdError `NBDCORK_BAD_TLS` for files that cannot be used, or options
 *   that contradict each other.
 */
export async function openTls(flags: TlsFlags): Promise<TlsOptions | undefined> {
  const { tls: mode, tlsCertificates, tlsPsk, tlsVerifyPeer, tlsExport } = flags;
  if (mode === 'off' && (tlsVerifyPeer === true || tlsExport !== undefined)) {
    const flag = tlsVerifyPeer === true ? '--tls-verify-peer' : '--tls-export';
    throw new NbdError('NBDCORK_BAD_TLS', `${flag} needs TLS, which --tls off turns off.`);
  }
  if (tlsCertificates === undefined && tlsPsk === undefined) {
    const asked = (mode ?? 'off') !== 'off' || tlsVerifyPeer === true || tlsExport !== undefined;
    if (!asked) return undefined;
    throw new NbdError(
      'NBDCORK_BAD_TLS',
      'TLS needs certificates or keys: give --tls-certificates or --tls-psk.',
    );
  }
  return {
    ...(mode !== undefined && { mode }),
    ...(tlsCertificates !== undefined && (await readTlsFolder(tlsCertificates))),
    ...(tlsPsk !== undefined && { preSharedKeys: await readPreSharedKeys(tlsPsk) }),
    ...(tlsVerifyPeer !== undefined && { verifyPeer: tlsVerifyPeer }),
  };
}

/** Mark the exports of `--tls-export`. */
export function withTlsExports(
  exports: Readonly<Record<string, ExportOptions>>,
  { tlsExport: names = [] }: TlsFlags,
): Record<string, ExportOptions> {
  // Not by a look-up: every object has a `constructor`, too.
  const missing = names.find((name) => !Object.hasOwn(exports, name));
  if (missing !== undefined) {
    throw new NbdError('NBDCORK_BAD_TLS', `--tls-export: there is no export '${missing}'.`);
  }
  return Object.fromEntries(
    Object.entries(exports).map(([name, entry]): [string, ExportOptions] => [
      name,
      names.includes(name) ? { ...entry, tls: 'require' } : entry,
    ]),
  );
}

/** For the command of `--run`, which finds our files where we do. */
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
