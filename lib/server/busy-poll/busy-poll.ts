/**
 * Waiting for the next request awake. Where client and server take turns on
 * two processors, each falls asleep in every round, and on many machines,
 * virtual ones above all, waking up takes longer than the request. Callers:
 * input.ts, around what each read brought. Calls: setImmediate, so that the
 * event loop looks for input without sleeping, and keep-awake.ts, so that the
 * client's processor does not sleep either. Owns: the decision.
 *
 * It polls only where that is known to help: the last times that it slept, the
 * next read came later than one on a processor that is awake would have, and
 * sooner than the time it may poll. Every now and then it sleeps to look again.
 * A server that has nothing to do sleeps.
 */
import { KeepAwake } from './cpu-latency.js';

/** A read that comes sooner after the last one found its processor awake. */
const wakingMsMin = 0.025;
/** A pause, not a round: says nothing of the time that waking up takes. */
const pauseMs = 1;
/** How much a new observation counts. */
const weight = 1 / 4;
/** While it sleeps, one round in so many is timed: looking at the clock costs something too. */
const roundsASample = 8;
/** While it polls, one round in so many sleeps, to look whether polling still helps. */
const roundsAProbe = 64;

export class BusyPoll {
  private readonly pollMs: number;
  private readonly now: () => number;
  private readonly schedule: (callback: () => void) => unknown;
  private readonly keepAwake: KeepAwake;
  /** Of the rounds that slept: from the end of one read's work to the next, on average; 0 before the first. */
  private sleptMs = 0;
  /** When the last read's work ended, where that was timed; else 0. */
  private idleSince = 0;
  private pollUntil = 0;
  private polling = false;
  private rounds = 0;
  private readonly poll = (): void => {
    if (this.now() < this.pollUntil) this.schedule(this.poll);
    else this.polling = false;
  };

  /** `pollMs` is the longest that it stays awake for nothing; 0 is never. */
  constructor(
    pollMs: number,
    now: () => number = () => performance.now(),
    schedule: (callback: () => void) => unknown = setImmediate,
    latencyDevice?: string,
  ) {
    this.pollMs = pollMs;
    this.now = now;
    this.schedule = schedule;
    this.keepAwake = new KeepAwake(() => {
      this.sleptMs = 0;
    }, latencyDevice);
  }

  /** A read has brought something. */
  arrived(): void {
    if (this.idleSince === 0 || this.polling) return;
    const waitedMs = this.now() - this.idleSince;
    this.idleSince = 0;
    if (waitedMs >= pauseMs) return;
    this.sleptMs =
      this.sleptMs === 0 ? waitedMs : this.sleptMs + (waitedMs - this.sleptMs) * weight;
  }

  /** What a read brought is dealt with. */
  idle(): void {
    if (this.pollMs === 0) return;
    const round = ++this.rounds;
    this.keepAwake.round();
    const helps = this.sleptMs >= wakingMsMin && this.sleptMs <= this.pollMs;
    if (!helps && round % roundsASample !== 0) return;
    const now = this.now();
    this.idleSince = now;
    if (helps) this.keepAwake.begin();
    if (!helps || round % roundsAProbe === 0) {
      this.pollUntil = 0;
      return;
    }
    this.pollUntil = now + this.pollMs;
    if (this.polling) return;
    this.polling = true;
    this.schedule(this.poll);
  }
}
