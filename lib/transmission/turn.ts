/**
 * How long a connection keeps the event loop to itself. What a WRITE costs is
 * bounded by what has come of it, but a few bytes can ask for much data or other
 * work, and thousands of such requests arrive in one read. Caller: dispatch.ts,
 * around each of them. Owns: the clock of a turn, which ends with the event
 * loop's round, and the count of bytes that READs were given in it.
 */
import { turnBytesMax, turnMs } from '../limits.js';

export class Turn {
  /** It has lasted long enough: others come first. */
  over = false;
  private startedMs: number | undefined;
  private readBytes = 0;
  private round: NodeJS.Immediate | undefined;
  private readonly goOn: () => void;
  private readonly roundEnded = (): void => {
    this.round = undefined;
    this.startedMs = undefined;
    this.readBytes = 0;
    if (!this.over) return;
    this.over = false;
    this.goOn();
  };

  /** `goOn` is called when a turn that was over is followed by another. */
  constructor(goOn: () => void) {
    this.goOn = goOn;
  }

  /** Work begins that may be long. Gives the time that `worked` needs. */
  begin(): number {
    this.startedMs ??= performance.now();
    return this.startedMs;
  }

  /** It is done, in a turn that began at `startedMs`. */
  worked(startedMs: number): void {
    // Behind the work, so that what it has answered leaves before the next turn.
    this.round ??= setImmediate(this.roundEnded);
    if (performance.now() - startedMs >= turnMs) this.over = true;
  }

  /** Something came: READs are counted anew, without a clock. */
  received(): void {
    this.readBytes = 0;
  }

  /** A READ of so many bytes was answered at once. */
  gave(bytes: number): void {
    this.readBytes += bytes;
    if (this.readBytes < turnBytesMax) return;
    this.round ??= setImmediate(this.roundEnded);
    this.over = true;
  }

  /** No further turn follows. */
  close(): void {
    clearImmediate(this.round);
    this.round = undefined;
  }
}
