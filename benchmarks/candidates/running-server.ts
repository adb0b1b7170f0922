import type { Counts } from '../server/messages.js';
import type { Place, PreSharedKey } from '../place.js';

/** A server that was started for one sample. */
export interface RunningServer {
  readonly place: Place;
  /** The process whose time is the server's. */
  readonly pid: number;
  /** Its counters so far; undefined for other servers. */
  readonly count?: () => Promise<Counts>;
  /** Rejects when it exits by itself, with the last lines of its standard error; undefined for nbdcork. */
  readonly ended?: Promise<never>;
  /** Settles when it is gone. */
  readonly stop: () => Promise<void>;
}

/** What a server is started with. */
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
