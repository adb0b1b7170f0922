import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import type { TlsOptions } from './options.js';

/**
 * The X.509 part of `TlsOptions` from a folder as nbdkit, libnbd and QEMU have
 * it: `server-cert.pem` and `server-key.pem`, and where they are there
 * `ca-cert.pem` and `ca-crl.pem`.
 * @throws NbdError `NBDCORK_BAD_TLS` where a file is missing or cannot be read.
 */
export async function readTlsFolder(
  path: string,
): Promise<
  Required<Pick<TlsOptions, 'certificate' | 'key'>> &
    Pick<TlsOptions, 'authority' | 'revocationLists'>
> {
  const [certificate, key, authority, revocationLists] = await Promise.all([
    read(path, 'server-cert.pem'),
    read(path, 'server-key.pem'),
    readIfThere(path, 'ca-cert.pem'),
    readIfThere(path, 'ca-crl.pem'),
  ]);
  return {
    certificate,
    key,
    ...(authority !== undefined && { authority }),
    ...(revocationLists !== undefined && { revocationLists }),
  };
}

async function read(folder: string, name: string): Promise<Buffer> {
  const bytes = await readIfThere(folder, name);
  if (bytes !== undefined) return bytes;
  throw new NbdError(
    'NBDCORK_BAD_TLS',
    `There is no ${name} in ${folder}: TLS needs it beside the other certificates.`,
  );
}

async function readIfThere(folder: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw new NbdError('NBDCORK_BAD_TLS', `Cannot read ${name}: ${messageOf(cause)}`, cause);
  }
}
