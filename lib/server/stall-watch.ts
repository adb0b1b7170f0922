/**
 * Detects clients that do nothing although it is their turn: that do not read their
 * replies, do not send the rest of a payload that holds memory, or are idle. One
 * timer checks all connections, so that a request costs nothing.
 */

/** What is watched of a connection. */
export interface Watching<Connection> {
  /**
   * A number that changes with what the client does, such as the bytes that it has
   * read or sent so far; undefined if the server does not wait for it.
   */
  readonly progress: (connection: Connection) => number | undefined;
  /** By how much `progress` must change within the timeout. */
  readonly progressMin: (connection: Connection) => number;
  /** Called once, when the client has made too little progress for the whole timeout. */
  readonly stalled: (connection: Connection) => void;
}

interface Observation {
  progress: number | undefined;
  since: number;
}

const checksPerTimeout = 4;

export class StallWatch<Connection> {
  private readonly observations = new Map<Connection, Observation>();
  private readonly timeoutMs: number;
  private readonly watching: Watching<Connection>;
  private readonly now: () => number;
  private timer: NodeJS.Timeout | undefined;

  /** A `timeoutMs` of 0 detects nothing. */
  constructor(
    timeoutMs: number,
    watching: Watching<Connection>,
    now: () => number = () => performance.now(),
  ) {
    this.timeoutMs = timeoutMs;
    this.watching = watching;
    this.now = now;
  }

  add(connection: Connection): void {
    if (this.timeoutMs === 0) return;
    this.observations.set(connection, { progress: undefined, since: 0 });
    this.timer ??= setInterval(() => {
      this.check(this.now());
    }, this.timeoutMs / checksPerTimeout).unref();
  }

  delete(connection: Connection): void {
    this.observations.delete(connection);
    if (this.observations.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private check(now: number): void {
    for (const [connection, observation] of this.observations) {
      const progress = this.watching.progress(connection);
      if (this.hasProgressed(connection, observation.progress, progress)) {
        observation.progress = progress;
        observation.since = now;
      } else if (now - observation.since >= this.timeoutMs) {
        this.watching.stalled(connection);
        this.delete(connection);
      }
    }
  }

  private hasProgressed(
    connection: Connection,
    before: number | undefined,
    now: number | undefined,
  ): boolean {
    if (before === undefined || now === undefined) return true;
    return before !== now && Math.abs(now - before) >= this.watching.progressMin(connection);
  }
}
