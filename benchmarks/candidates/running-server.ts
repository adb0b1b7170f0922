import type { Counts } from '../server/messages.js';
import type { Place, PreSharedKey } from '../place.js';

/** A server that was started for one sample. */
export interface RunningServer {
  readonly place: Place;
  /** The process whose time is the server's. */
  readonly pid: number;
  /** What it has done so far; peers do not tell. */
  readonly count?: () => Promise<Counts>;
  /** Fails when it ends by itself, with what it said; ours say it when they are asked. */
  readonly ended?: Promise<never>;
  /** Settles when it is gone. */
  readonly stop: () => Promise<void>;
}

/** Where a server is to run, and for whom. */
export interface ServerSetting {
  /** A folder of its own, which is gone after the sample. */
  readonly folder: string;
  readonly preSharedKey: PreSharedKey | undefined;
  /** Holds `keys.psk` with that key, as GnuTLS wants it. */
  readonly keyFolder: string;
  /** What a process is started with to be at the other end of the link. */
  readonly prefix: readonly string[];
  /** The address that a server of TCP listens on. */
  readonly host: string;
}
