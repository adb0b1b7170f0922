/**
 * Keeps all processors out of deep sleep while a client and its server alternate.
 * Busy polling keeps only the server's processor awake: the client's goes to sleep
 * as well, and in a virtual machine waking it up can take longer than everything
 * else together.
 *
 * It uses the kernel's "PM Quality of Service": 0 written to /dev/cpu_dma_latency
 * has effect while the file is open. Usually only root may open it; otherwise
 * nothing is done. Since it affects the whole machine, it is held only while it is
 * used, and released now and then, to measure whether waking up is still slow.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

const checkMs = 20;
/** With fewer rounds in `checkMs` there are pauses to sleep in. */
const roundsMin = 20;
/** It is held for a second at most. */
const checksMax = 50;
const zeroLatency = new Int32Array([0]);

export class CpuLatency {
  private readonly path: string;
  private readonly onRelease: () => void;
  private unavailable = false;
  private descriptor: number | undefined;
  private timer: NodeJS.Timeout | undefined;
  private rounds = 0;
  private checks = 0;

  /** `onRelease` is called when processors may sleep again. */
  constructor(onRelease: () => void, path = '/dev/cpu_dma_latency') {
    this.onRelease = onRelease;
    this.path = path;
  }

  get held(): boolean {
    return this.descriptor !== undefined;
  }

  /** Call once a round trip: it is released when there are few. */
  countRound(): void {
    this.rounds++;
  }

  hold(): void {
    if (this.unavailable || this.held) return;
    try {
      this.descriptor = openSync(this.path, 'r+');
      writeSync(this.descriptor, zeroLatency);
    } catch {
      // Not root, another system, or a container: that will not change.
      this.unavailable = true;
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
    this.onRelease();
  }

  private release(): void {
    clearInterval(this.timer);
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}
