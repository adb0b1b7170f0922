import { NbdError } from './errors.js';

/** The limits of a server. The defaults suit a machine that does other work too. */
export interface Limits {
  /** Longest READ or WRITE payload in bytes, advertised as the maximum of NBD_INFO_BLOCK_SIZE. */
  readonly requestBytesMax: number;
  /** Requests in flight on a connection; at the limit the server stops reading from it. */
  readonly requestsInFlightMax: number;
  /** Payload bytes of the requests in flight on a connection; at the limit the server stops reading from it. */
  readonly bytesInFlightMax: number;
  /**
   * Payload bytes of all connections together; at the limit the server stops
   * reading from those that need more. A server that is given none uses an eighth
   * of the memory of the machine or its control group, at least the default.
   */
  readonly memoryBytesMax: number;
  /** Simultaneous connections; further ones are closed at once. */
  readonly connectionsMax: number;
  /**
   * Simultaneous connections of an IP address, or of a user on Unix sockets; further
   * ones are closed at once. 0 for no such limit.
   */
  readonly connectionsPerPeerMax: number;
  /**
   * Options that a client may send before it chooses an export, and 8 more for each
   * export that it has listed; then the connection is closed.
   */
  readonly optionsMax: number;
  /** Bytes of data in one option; longer ones are refused. */
  readonly optionBytesMax: number;
  /** Metadata contexts that a client may select; larger selections are refused. */
  readonly contextsMax: number;
  /**
   * Extents of a metadata context in one reply; clients send another request for
   * the rest. At most 2^20, the limit of the protocol.
   */
  readonly extentsMax: number;
  /**
   * Time from connecting until the client must have chosen an export, in milliseconds;
   * 500 more for each export that it has listed.
   */
  readonly handshakeTimeoutMs: number;
  /**
   * Time without progress while replies are queued, or the rest of a payload that takes
   * memory is missing, in milliseconds; then the connection is closed. While others wait
   * for its memory, progress is an eighth of it.
   */
  readonly sendTimeoutMs: number;
  /**
   * Time without a request, in milliseconds, after which a client that has chosen an
   * export and waits for no reply is disconnected. 0 for no such limit.
   */
  readonly idleTimeoutMs: number;
  /** TCP keep-alive idle time, in milliseconds. */
  readonly keepAliveMs: number;
  /** Simultaneously open backends of an `ExportFinder`, where clients choose the names of exports. */
  readonly openExportsMax: number;
  /** Time for requests in flight to complete when the server closes, in milliseconds. */
  readonly shutdownTimeoutMs: number;
}

/** The limits of a server that is given none. */
export const defaultLimits: Limits = {
  requestBytesMax: 64 * 2 ** 20,
  requestsInFlightMax: 256,
  bytesInFlightMax: 64 * 2 ** 20,
  memoryBytesMax: 256 * 2 ** 20,
  connectionsMax: 1024,
  connectionsPerPeerMax: 0,
  optionsMax: 1024,
  optionBytesMax: 64 * 2 ** 10,
  contextsMax: 16,
  // 1 MiB with extended headers: the most that the transport gathers before it sends.
  extentsMax: 65_536,
  handshakeTimeoutMs: 10_000,
  sendTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  keepAliveMs: 60_000,
  openExportsMax: 1024,
  shutdownTimeoutMs: 10_000,
};

const limitsMax: Readonly<Record<string, number>> = {
  // Lengths of replies have 32 bits in the protocol, and include more than the payload.
  requestBytesMax: 2 ** 31,
  // "Servers SHOULD NOT send more than 2^20 extents in a single reply chunk".
  extentsMax: 2 ** 20,
  // Node's timers fire immediately above this.
  handshakeTimeoutMs: 2 ** 31 - 1,
  sendTimeoutMs: 2 ** 31 - 1,
  idleTimeoutMs: 2 ** 31 - 1,
  keepAliveMs: 2 ** 31 - 1,
  shutdownTimeoutMs: 2 ** 31 - 1,
};

/** The limits that may be off: 0 says so. */
const optionalLimits: ReadonlySet<string> = new Set<keyof Limits>([
  'connectionsPerPeerMax',
  'idleTimeoutMs',
]);

/** The least valid value of a limit: 0 for those that may be off, otherwise 1. */
export function limitMin(name: string): 0 | 1 {
  return optionalLimits.has(name) ? 0 : 1;
}

/** The given limits, and the defaults for the others. @throws NbdError `NBDCORK_BAD_LIMIT`. */
export function checkedLimits(given: Partial<Limits>): Limits {
  const limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaultLimits, name)) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `Unknown limit '${name}'. Use one of ${Object.keys(defaultLimits).join(', ')}.`,
      );
    }
    const min = limitMin(name);
    const max = limitsMax[name] ?? Number.MAX_SAFE_INTEGER;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new NbdError(
        'NBDCORK_BAD_LIMIT',
        `Invalid limit ${name}: it must be an integer from ${min} to ${max}.`,
      );
    }
  }
  return limits;
}
