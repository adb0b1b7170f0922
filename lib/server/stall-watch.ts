/**
 * Detects clients that do not read their replies. One timer checks all
 * connections, so that a request costs nothing.
 */

/** A connection. */
export interface Watched {
  /** Bytes that the client has read so far; undefined if it has read all of them. */
  readonly readByPeerBytes: number | undefined;
  /** Called once, when the client has read nothing for the whole timeout. */
  stalled(): void;
}

interface Observation {
  readByPeerBytes: number | undefined;
  since: number;
}

const checksPerTimeout = 4;

export class StallWatch {
  private readonly observations = new Map<Watched, Observation>();
  private readonly timeoutMs: number;
  private readonly now: () => number;
  private timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, now: () => number = () => performance.now()) {
    this.timeoutMs = timeoutMs;
    this.now = now;
  }

  add(connection: Watched): void {
    this.observations.set(connection, { readByPeerBytes: undefined, since: 0 });
    this.timer ??= setInterval(() => {
      this.check(this.now());
    }, this.timeoutMs / checksPerTimeout).unref();
  }

  delete(connection: Watched): void {
    this.observations.delete(connection);
    if (this.observations.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private check(now: number): void {
    for (const [connection, observation] of this.observations) {
      const { readByPeerBytes } = connection;
      if (readByPeerBytes === undefined || readByPeerBytes !== observation.readByPeerBytes) {
        observation.readByPeerBytes = readByPeerBytes;
        observation.since = now;
      } else if (now - observation.since >= this.timeoutMs) {
        connection.stalled();
        this.delete(connection);
      }
    }
  }
}
