/**
 * Has the kernel keep processors out of sleep while a client asks and waits in
 * turn with its server. Busy polling keeps only the server's processor awake:
 * the client's falls asleep as well, and in a virtual machine waking it up can
 * take longer than everything else together. Caller: busy-poll.ts. Calls: the
 * kernel's "PM Quality of Service", as long as /dev/cpu_dma_latency is held
 * open with a 0. That is root's, unless told otherwise: for others there is
 * polling alone. Owns: the descriptor.
 *
 * It is about all processors, so it is held only as long as it is made use of,
 * and let go now and then, to look whether waking up is still slow.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

const checkMs = 20;
/** With fewer in `checkMs` there are pauses to sleep in. */
const roundsMin = 20;
/** Held for a second at the most. */
const checksMax = 50;
const noLatency = new Int32Array([0]);

export class KeepAwake {
  private readonly path: string;
  private readonly ended: () => void;
  private refused = false;
  private descriptor: number | undefined;
  private timer: NodeJS.Timeout | undefined;
  private rounds = 0;
  private checks = 0;

  /** `ended` is called where processors may sleep again. */
  constructor(ended: () => void, path = '/dev/cpu_dma_latency') {
    this.ended = ended;
    this.path = path;
  }

  get held(): boolean {
    return this.descriptor !== undefined;
  }

  /** A request came and was dealt with. */
  round(): void {
    this.rounds++;
  }

  begin(): void {
    if (this.refused || this.held) return;
    try {
      this.descriptor = openSync(this.path, 'r+');
      writeSync(this.descriptor, noLatency);
    } catch {
      // Not root, another system, or a container: it is no fault, and will not change.
      this.refused = true;
      this.release();
      return;
    }
    this.rounds = 0;
    this.checks = 0;
    this.timer = setInterval(() => {
      this.check();
    }, checkMs);
    this.timer.unref();
  }

  private check(): void {
    const { rounds } = this;
    this.rounds = 0;
    if (rounds >= roundsMin && ++this.checks < checksMax) return;
    this.release();
    this.ended();
  }

  private release(): void {
    clearInterval(this.timer);
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}
