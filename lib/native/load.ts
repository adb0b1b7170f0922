import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../errors.js';
import type { NativeAddon } from './addon.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

const functions: Record<keyof NativeAddon, true> = {
  setCork: true,
  getCork: true,
  setSendBuffer: true,
  send: true,
  sendmsg: true,
  tcpInfo: true,
  peerCredentials: true,
  unreadByPeer: true,
  kindOf: true,
  duplicate: true,
  preadNoWait: true,
  offsetIn: true,
  adviseHugePages: true,
  discardPages: true,
  createMemoryFile: true,
  cachedPages: true,
  createMapping: true,
  refreshMapping: true,
  closeMapping: true,
  copyFromMapping: true,
  residentPages: true,
  blockDeviceSize: true,
  bytesAvailable: true,
  blockSizes: true,
  lockFile: true,
  exitNow: true,
  createWorkers: true,
  submitWork: true,
  addWorker: true,
  closeWorkers: true,
};

let warned = false;

/**
 * Load the addon. Undefined on systems other than Linux and with
 * `NBDCORK_NO_NATIVE=1`. Also undefined where it is missing or broken, after one
 * process warning, `NBDCORK_NO_ADDON`. Never throws.
 */
export function loadAddon(): NativeAddon | undefined {
  if (process.platform !== 'linux' || process.env['NBDCORK_NO_NATIVE'] === '1') return undefined;
  try {
    const require = createRequire(import.meta.url);
    // eslint-disable-next-line @typescript-eslint/consistent-type-assertions -- node-gyp-build has no types
    const load = require('node-gyp-build') as (folder: string) => unknown;
    const loaded = load(packageRoot);
    // A file built from another version may lack functions.
    if (!isNativeAddon(loaded)) throw new TypeError('it was built from another version of nbdcork');
    return loaded;
  } catch (error) {
    warnOnce(error);
    return undefined;
  }
}

/** The addon, or undefined: then everything is sent through Node's streams. */
export const addon: NativeAddon | undefined = loadAddon();

function isNativeAddon(value: unknown): value is NativeAddon {
  if (typeof value !== 'object' || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return Object.keys(functions).every((name) => typeof members.get(name) === 'function');
}

function warnOnce(error: unknown): void {
  if (warned) return;
  warned = true;
  // The message of node-gyp-build has several lines.
  const reason = messageOf(error).replace(/\s+/g, ' ').trim();
  process.emitWarning(
    `Cannot load the native addon of nbdcork: ${reason}. ` +
      'Replies are sent through Node streams instead, which is slower. ' +
      'To build the addon, install a C++ compiler, make and Python, then run "npm rebuild nbdcork" ' +
      '(or set NBDCORK_NO_NATIVE=1 to run without it and without this warning).',
    { code: 'NBDCORK_NO_ADDON' },
  );
}
