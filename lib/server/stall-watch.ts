/**
 * Cuts clients that do not read their replies. One timer looks at all
 * connections now and then, so that nothing has to be done for a request.
 */

/** What is watched: a connection. */
export interface Watched {
  /** Bytes that the client has taken by now; undefined where none wait for it. */
  readonly takenBytes: number | undefined;
  /** Called once, when nothing was taken for the whole time. */
  stalled(): void;
}

interface Observation {
  takenBytes: number | undefined;
  since: number;
}

/** How often in the time that a client has. */
const looksPerTimeout = 4;

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
    this.observations.set(connection, { takenBytes: undefined, since: 0 });
    this.timer ??= setInterval(() => {
      this.look(this.now());
    }, this.timeoutMs / looksPerTimeout).unref();
  }

  delete(connection: Watched): void {
    this.observations.delete(connection);
    if (this.observations.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(now: number): void {
    for (const [connection, observation] of this.observations) {
      const { takenBytes } = connection;
      if (takenBytes === undefined || takenBytes !== observation.takenBytes) {
        observation.takenBytes = takenBytes;
        observation.since = now;
      } else if (now - observation.since >= this.timeoutMs) {
        connection.stalled();
        this.delete(connection);
      }
    }
  }
}
