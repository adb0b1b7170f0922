/**
 * Detects clients that do not read their replies, or do not send the rest of a
 * payload that holds memory. One timer checks all
 * connections, so that a request costs nothing.
 */

/** A connection. */
export interface Watched {
  /**
   * Bytes that the client has read, or sent, so far; undefined if the server does
   * not wait for it.
   */
  readonly progress: number | undefined;
  /** Called once, when the client has made no progress for the whole timeout. */
  stalled(): void;
}

interface Observation {
  progress: number | undefined;
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
    this.observations.set(connection, { progress: undefined, since: 0 });
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
      const { progress } = connection;
      if (progress === undefined || progress !== observation.progress) {
        observation.progress = progress;
        observation.since = now;
      } else if (now - observation.since >= this.timeoutMs) {
        connection.stalled();
        this.delete(connection);
      }
    }
  }
}
