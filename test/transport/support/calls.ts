import type { NativeAddon } from '../../../lib/native/addon.js';
import { addon } from '../../../lib/native/load.js';

interface Calls {
  send: number;
  sendmsg: number;
  setCork: number;
}

/** The addon, with its sending calls counted. Functions in `instead` replace its own. */
export function countCalls(instead: Partial<NativeAddon> = {}): {
  counted: NativeAddon;
  calls: Calls;
} {
  if (addon === undefined) throw new Error('needs the addon');
  const real: NativeAddon = { ...addon, ...instead };
  const calls: Calls = { send: 0, sendmsg: 0, setCork: 0 };
  const counted: NativeAddon = {
    ...real,
    send: (...given) => {
      calls.send++;
      return real.send(...given);
    },
    sendmsg: (...given) => {
      calls.sendmsg++;
      return real.sendmsg(...given);
    },
    setCork: (...given) => {
      calls.setCork++;
      return real.setCork(...given);
    },
  };
  return { counted, calls };
}
