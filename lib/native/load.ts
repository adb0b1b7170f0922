import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../errors.js';
import type { NativeAddon } from './addon.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

const functions: Record<keyof NativeAddon, true> = {
  setCork: true,
  getCork: true,
  setSendBuffer: true,
  getSendBuffer: true,
  send: true,
  sendmsg: true,
  tcpInfo: true,
  peerCredentials: true,
  untakenBytes: true,
  kindOf: true,
  preadNoWait: true,
  fallocate: true,
  findData: true,
  offsetIn: true,
  adviseHugePages: true,
  blockDeviceSize: true,
};

let warned = false;

/**
 * The addon, or undefined where there is none: on systems other than Linux and
 * with `NBDCORK_NO_NATIVE=1` silently, and after one process warning
 * (`NBDCORK_NO_ADDON`) where it is missing or broken. Never throws.
 */
export function loadAddon(): NativeAddon | undefined {
  if (process.platform !== 'linux' || process.env['NBDCORK_NO_NATIVE'] === '1') return undefined;
  try {
    const require = createRequire(import.meta.url);
    // node-gyp-build has no types of its own.
    const load = require('node-gyp-build') as (folder: string) => unknown;
    const loaded = load(packageRoot);
    // A file left over from another version may lack functions.
    if (!isNativeAddon(loaded)) throw new TypeError('it is of another version of nbdcork');
    return loaded;
  } catch (error) {
    warnOnce(error);
    return undefined;
  }
}

/** The addon of this process, or undefined: then everything runs through Node's own streams. */
export const addon: NativeAddon | undefined = loadAddon();

function isNativeAddon(value: unknown): value is NativeAddon {
  if (typeof value !== 'object' || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return Object.keys(functions).every((name) => typeof members.get(name) === 'function');
}

function warnOnce(error: unknown): void {
  if (warned) return;
  warned = true;
  // node-gyp-build's message has several lines.
  const reason = messageOf(error).replace(/\s+/g, ' ').trim();
  process.emitWarning(
    `The native addon of nbdcork cannot be loaded: ${reason}. ` +
      'Replies are sent through Node streams instead, which is slower. ' +
      'To build the addon, install a C++ compiler, make and Python, then run "npm rebuild nbdcork" ' +
      '(or set NBDCORK_NO_NATIVE=1 to run without it and without this warning).',
    { code: 'NBDCORK_NO_ADDON' },
  );
}
