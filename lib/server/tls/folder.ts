import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, NbdError } from '../../errors.js';
import type { TlsOptions } from './options.js';

/**
 * Reads the certificates of `TlsOptions` from a folder, with the file names that
 * nbdkit, libnbd and QEMU use: `server-cert.pem` and `server-key.pem`, and
 * optionally `ca-cert.pem` and `ca-crl.pem`.
 * @throws NbdError `NBDCORK_BAD_TLS` if a file is missing or cannot be read.
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
    readOptional(path, 'ca-cert.pem'),
    readOptional(path, 'ca-crl.pem'),
  ]);
  return {
    certificate,
    key,
    ...(authority !== undefined && { authority }),
    ...(revocationLists !== undefined && { revocationLists }),
  };
}

async function read(folder: string, name: string): Promise<Buffer> {
  const bytes = await readOptional(folder, name);
  if (bytes !== undefined) return bytes;
  throw new NbdError('NBDCORK_BAD_TLS', `Missing file ${name} in ${folder}: TLS needs it.`);
}

async function readOptional(folder: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw new NbdError('NBDCORK_BAD_TLS', `Cannot read ${name}: ${messageOf(cause)}`, cause);
  }
}
