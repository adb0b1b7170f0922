import { readFile } from 'node:fs/promises';
import { messageOf, NbdError } from '../../errors.js';

/** The limits that OpenSSL and GnuTLS have in common. */
const identityBytesMax = 128;
const keyBytesMax = 64;

/**
 * Reads pre-shared keys from a file in the format of GnuTLS's psktool: one
 * `identity:hexkey` a line.
 * @throws NbdError `NBDCORK_BAD_TLS` with the file and the line, but never a key.
 */
export async function readPreSharedKeys(path: string): Promise<Map<string, Uint8Array>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw badKeys(`Cannot read pre-shared keys: ${messageOf(cause)}`, cause);
  });
  const keys = new Map<string, Uint8Array>();
  text.split(/\r?\n/).forEach((line, index) => {
    if (line === '') return;
    const where = `${path}, line ${index + 1}`;
    const [, written = '', hex = ''] = /^(.+):((?:[0-9a-f]{2})+)$/i.exec(line) ?? [];
    if (written === '') {
      throw badKeys(`${where}: expected IDENTITY:KEY, with KEY in hexadecimal.`);
    }
    const identity = readIdentity(written, where);
    if (keys.has(identity)) throw badKeys(`${where}: duplicate identity '${identity}'.`);
    const key = Buffer.from(hex, 'hex');
    checkPreSharedKey(identity, key);
    keys.set(identity, key);
  });
  if (keys.size === 0) throw badKeys(`${path} has no keys: create one with psktool.`);
  return keys;
}

/** @throws NbdError `NBDCORK_BAD_TLS` for one that no client can use. */
export function checkPreSharedKey(identity: string, key: Uint8Array): void {
  const identityBytes = Buffer.byteLength(identity);
  if (identityBytes < 1 || identityBytes > identityBytesMax || identity.includes('\0')) {
    throw badKeys(`A PSK identity must have 1 to ${identityBytesMax} bytes, without NUL.`);
  }
  if (key.byteLength < 1 || key.byteLength > keyBytesMax) {
    throw badKeys(`The pre-shared key of '${identity}' must have 1 to ${keyBytesMax} bytes.`);
  }
}

/** GnuTLS writes an identity that is not plain text as '#' and hexadecimal digits. */
function readIdentity(written: string, where: string): string {
  if (!written.startsWith('#')) return written;
  if (!/^#(?:[0-9a-f]{2})+$/i.test(written)) {
    throw badKeys(`${where}: an identity that begins with '#' must be hexadecimal.`);
  }
  return Buffer.from(written.slice(1), 'hex').toString();
}

function badKeys(message: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_TLS', message, cause);
}
