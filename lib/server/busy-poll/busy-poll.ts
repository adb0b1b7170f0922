/**
 * Busy polling for the next request. Where client and server alternate on two
 * processors, each goes to sleep in every round trip, and on many machines, mostly
 * virtual ones, waking up takes longer than the request. While polling, setImmediate
 * keeps the event loop looking for input without sleeping, and `CpuLatency` keeps
 * the client's processor from sleeping too.
 *
 * It polls only where that is known to help: in the last rounds that slept, the next
 * read came later than one from a processor that is awake, and sooner than the
 * longest time to poll. Now and then it sleeps to measure again. An idle server
 * sleeps.
 */
import { NbdError } from '../../errors.js';
import { CpuLatency } from './cpu-latency.js';

export const busyPollMicrosecondsDefault = 100;
export const busyPollMicrosecondsMax = 1000;

/** A read that follows sooner found its processor awake. */
const wakeUpMsMin = 0.025;
/** A longer wait is a pause of the client, and no measure of waking up. */
const pauseMs = 1;
/** Weight of a new measurement in the moving average. */
const weight = 1 / 4;
/** While sleeping, one round in so many is timed, since reading the clock has a cost. */
const roundsPerSample = 8;
/** While polling, one round in so many sleeps, to measure whether polling still helps. */
const roundsPerProbe = 64;

/** @throws NbdError `NBDCORK_BAD_LIMIT`. */
export function checkedBusyPoll(microseconds = busyPollMicrosecondsDefault): number {
  if (microseconds >= 0 && microseconds <= busyPollMicrosecondsMax) return microseconds;
  throw new NbdError(
    'NBDCORK_BAD_LIMIT',
    `Invalid busyPollMicroseconds ${microseconds}: it must be a number from 0 to ${busyPollMicrosecondsMax}.`,
  );
}

export class BusyPoll {
  private readonly pollMs: number;
  private readonly now: () => number;
  private readonly schedule: (callback: () => void) => unknown;
  private readonly cpuLatency: CpuLatency;
  /** In rounds that slept: average time from the end of one read's work to the next read; 0 if unknown. */
  private sleptMs = 0;
  /** End of the last read's work, if that round is timed; else 0. */
  private idleSince = 0;
  private pollUntil = 0;
  private polling = false;
  private rounds = 0;
  private readonly poll = (): void => {
    if (this.now() < this.pollUntil) this.schedule(this.poll);
    else this.polling = false;
  };

  /** `pollMs` is the longest time to poll for a read; 0 disables polling. */
  constructor(
    pollMs: number,
    now: () => number = () => performance.now(),
    schedule: (callback: () => void) => unknown = setImmediate,
    latencyDevice?: string,
  ) {
    this.pollMs = pollMs;
    this.now = now;
    this.schedule = schedule;
    this.cpuLatency = new CpuLatency(() => {
      this.sleptMs = 0;
    }, latencyDevice);
  }

  /** Call at the beginning of each read. */
  readStarted(): void {
    if (this.idleSince === 0 || this.polling) return;
    const waitedMs = this.now() - this.idleSince;
    this.idleSince = 0;
    if (waitedMs >= pauseMs) return;
    this.sleptMs =
      this.sleptMs === 0 ? waitedMs : this.sleptMs + (waitedMs - this.sleptMs) * weight;
  }

  /** Call when the read has been handled. */
  readEnded(): void {
    if (this.pollMs === 0) return;
    const round = ++this.rounds;
    this.cpuLatency.countRound();
    const helps = this.sleptMs >= wakeUpMsMin && this.sleptMs <= this.pollMs;
    if (!helps && round % roundsPerSample !== 0) return;
    const now = this.now();
    this.idleSince = now;
    if (helps) this.cpuLatency.hold();
    if (!helps || round % roundsPerProbe === 0) {
      this.pollUntil = 0;
      return;
    }
    this.pollUntil = now + this.pollMs;
    if (this.polling) return;
    this.polling = true;
    this.schedule(this.poll);
  }
}
