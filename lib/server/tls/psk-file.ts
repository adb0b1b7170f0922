import { readFile } from 'node:fs/promises';
import { messageOf, NbdError } from '../../errors.js';

/** What OpenSSL and GnuTLS agree on. */
const identityBytesMax = 128;
const keyBytesMax = 64;

/**
 * The keys in a file that GnuTLS's psktool made: one `identity:hexkey` a line.
 * @throws NbdError `NBDCORK_BAD_TLS` that names the file and the line, but no key.
 */
export async function readPreSharedKeys(path: string): Promise<Map<string, Uint8Array>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw badKeys(`Cannot read the pre-shared keys: ${messageOf(cause)}`, cause);
  });
  const keys = new Map<string, Uint8Array>();
  text.split(/\r?\n/).forEach((line, index) => {
    if (line === '') return;
    const where = `${path}, line ${index + 1}`;
    const [, written = '', hex = ''] = /^(.+):((?:[0-9a-f]{2})+)$/i.exec(line) ?? [];
    if (written === '') {
      throw badKeys(`${where}: expected IDENTITY:KEY with the key in hexadecimal digits.`);
    }
    const identity = readIdentity(written, where);
    if (keys.has(identity)) throw badKeys(`${where}: '${identity}' has a key already.`);
    const key = Buffer.from(hex, 'hex');
    checkPreSharedKey(identity, key);
    keys.set(identity, key);
  });
  if (keys.size === 0) throw badKeys(`${path} holds no key: make one with psktool.`);
  return keys;
}

/** @throws NbdError `NBDCORK_BAD_TLS` for one that no client could use. */
export function checkPreSharedKey(identity: string, key: Uint8Array): void {
  const identityBytes = Buffer.byteLength(identity);
  if (identityBytes < 1 || identityBytes > identityBytesMax || identity.includes('\0')) {
    throw badKeys(`A PSK identity has 1 to ${identityBytesMax} bytes without NUL.`);
  }
  if (key.byteLength < 1 || key.byteLength > keyBytesMax) {
    throw badKeys(`The pre-shared key of '${identity}' must have 1 to ${keyBytesMax} bytes.`);
  }
}

/** GnuTLS writes an identity that is no plain text as '#' and hexadecimal digits. */
function readIdentity(written: string, where: string): string {
  if (!written.startsWith('#')) return written;
  if (!/^#(?:[0-9a-f]{2})+$/i.test(written)) {
    throw badKeys(`${where}: an identity that begins with '#' goes on in hexadecimal digits.`);
  }
  return Buffer.from(written.slice(1), 'hex').toString();
}

function badKeys(message: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_TLS', message, cause);
}
