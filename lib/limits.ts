import { NbdError } from './errors.js';

/** Every limit of a server, each with a default that is safe on a machine that does other work too. */
export interface Limits {
  /** Longest READ or WRITE payload in bytes, advertised as the maximum of NBD_INFO_BLOCK_SIZE. */
  readonly requestBytesMax: number;
  /** Requests of a connection that a backend has not answered yet; past them the socket is not read. */
  readonly requestsInFlightMax: number;
  /** Payload bytes of those requests, likewise. */
  readonly bytesInFlightMax: number;
  /** Connections at a time; a further one is closed at once. */
  readonly connectionsMax: number;
  /** Options that a client may send before it chooses an export. */
  readonly optionsMax: number;
  /** Bytes of data in one option. */
  readonly optionBytesMax: number;
  /** Metadata contexts that a client may select. */
  readonly contextsMax: number;
  /**
   * Extents of a context in one reply, and how many a backend is asked for; the
   * client asks again for the rest. At most 2^20, which the protocol wants.
   */
  readonly extentsMax: number;
  /** Time a client has from connecting to choosing an export. */
  readonly handshakeTimeoutMs: number;
  /** Time in which a client must have read something of the replies that wait for it. */
  readonly sendTimeoutMs: number;
  /** A TCP connection that is silent for so long is asked whether it is still there. */
  readonly keepAliveMs: number;
  /** Backends that are open at a time, where clients choose the names of exports. */
  readonly openExportsMax: number;
  /** Time for all that is in progress when the server stops; then it is given up. */
  readonly shutdownTimeoutMs: number;
}

/** The limits of a server that sets none. */
export const defaultLimits: Limits = {
  requestBytesMax: 32 * 2 ** 20,
  requestsInFlightMax: 256,
  bytesInFlightMax: 64 * 2 ** 20,
  connectionsMax: 1024,
  optionsMax: 1024,
  optionBytesMax: 64 * 2 ** 10,
  contextsMax: 16,
  // 1 MiB with extended headers: what the transport gathers before it sends anyway.
  extentsMax: 65_536,
  handshakeTimeoutMs: 10_000,
  sendTimeoutMs: 60_000,
  keepAliveMs: 60_000,
  openExportsMax: 1024,
  shutdownTimeoutMs: 10_000,
};

const limitsMax: Readonly<Record<string, number>> = {
  // Lengths have 32 bits in the protocol, and those of replies count their fields too.
  requestBytesMax: 2 ** 31,
  // "Servers SHOULD NOT send more than 2^20 extents in a single reply chunk".
  extentsMax: 2 ** 20,
  // Node's timers fire at once past this.
  handshakeTimeoutMs: 2 ** 31 - 1,
  sendTimeoutMs: 2 ** 31 - 1,
  keepAliveMs: 2 ** 31 - 1,
  shutdownTimeoutMs: 2 ** 31 - 1,
};

/** The limits of a server that was given some of them. @throws NbdError `NBDCORK_BAD_LIMIT`. */
export function checkedLimits(given: Partial<Limits>): Limits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaultLimits, name)) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `There is no limit ${name}. Choose ${Object.keys(defaultLimits).join(', ')}.`,
      );
    }
    const max = limitsMax[name] ?? Number.MAX_SAFE_INTEGER;
    if (!Number.isInteger(value) || value < 1 || value > max) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `The limit ${name} must be an integer from 1 to ${max}.`,
      );
    }
  }
  return limits;
}
