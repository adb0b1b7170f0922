/**
 * Takes a sample of each candidate of a row. Their servers are started, filled
 * and warmed up, then measured by turns of a few milliseconds until each has had
 * its time. What slows the machine down for a while, on virtual machines many
 * times a second, then slows all candidates alike.
 */
import { setTimeout } from 'node:timers/promises';
import {
  CandidateRun,
  type Load,
  type Environment,
  type Start,
  type Measurement,
} from './candidate-run.js';
import type { Timing } from './plan.js';
import type { Workload } from '../results.js';
import { shuffled } from '../statistics/statistics.js';

export interface CandidateSetup {
  readonly start: Start;
  /** Not shared with another candidate. */
  readonly load: Load;
  /** One of our servers, rather than another one. */
  readonly isOurs: boolean;
}

export type SampleTiming = Pick<Timing, 'seconds' | 'warmUpSeconds'>;

/** Of other servers, which may need longer to reach full speed, and of many requests in flight. */
const longTurnSeconds = 0.05;
const shallowMax = 64;
/**
 * Of our servers: short, so that a disturbance spoils few turns, and long enough
 * for at least two batches of replies.
 */
const turnSeconds = 0.008;
const turnSecondsOfLarge = 0.016;
/** Other servers are native code. */
const othersWarmUpSeconds = 0.05;

/**
 * Our servers may keep processors awake for two checks of lib/server/busy-poll/cpu-latency.ts
 * after their turn. Other servers are measured as they are, with processors that sleep.
 */
const sleepAgainMs = 45;

/** In the order of the candidates. One that fails does not stop the others. */
export async function takeSamples(
  workload: Workload,
  candidates: readonly CandidateSetup[],
  timing: SampleTiming,
  environment: Environment,
): Promise<PromiseSettledResult<Measurement>[]> {
  const runs = candidates.map(
    ({ start, load, isOurs }) =>
      new GuardedRun(new CandidateRun(workload, start, load, environment), isOurs),
  );
  const ours = runs.filter(({ isOurs }) => isOurs);
  const others = runs.filter(({ isOurs }) => !isOurs);
  await Promise.all(ours.map((one) => one.attempt((run) => run.start())));
  await Promise.all(ours.map((one) => one.attempt((run) => run.pinServer())));
  // One by one: a free port is free only until another server takes it.
  for (const one of others) await one.attempt((run) => run.start());
  for (const one of shuffled(runs)) {
    const seconds = one.isOurs
      ? timing.warmUpSeconds * (warmsUpSlowly(workload) ? 2 : 1)
      : Math.min(timing.warmUpSeconds, othersWarmUpSeconds);
    await one.attempt((run) => run.warmUp(seconds));
  }
  await takeTurns(workload, ours, others, timing.seconds);
  for (const one of runs) {
    await one.attempt(async (run) => {
      one.measurement = await run.finish();
    });
  }
  await Promise.all(runs.map((one) => one.stop()));
  return runs.map((one) => one.result());
}

/** V8 compiles more code there, Node's own included, or sees few requests. */
function warmsUpSlowly({ link, connections, depth }: Workload): boolean {
  const isNodes = link === 'unix-tls' || link === 'tcp-tls' || link === 'pipe';
  return isNodes || connections * depth === 1;
}

/** Ours, others, others, ours and so on, so that the pause is needed only every other time. */
async function takeTurns(
  workload: Workload,
  ours: readonly GuardedRun[],
  others: readonly GuardedRun[],
  seconds: number,
): Promise<void> {
  // fio cannot be paused.
  const isOnce = workload.load === 'fio';
  const longTurns = isOnce ? 1 : Math.max(1, Math.round(seconds / longTurnSeconds));
  const longTurn = seconds / longTurns;
  const turns = isOnce ? 1 : Math.max(1, Math.floor(longTurn / turnOfOurs(workload)));
  const isOn = (group: readonly GuardedRun[]): boolean => group.some(({ failed }) => !failed);
  for (let number = 0; number < longTurns && (isOn(ours) || isOn(others)); number++) {
    if (number % 2 === 1) await turnOf(others, longTurn);
    for (let turn = 0; turn < turns; turn++) await turnOf(ours, longTurn / turns);
    if (number % 2 === 1) continue;
    if (isOn(ours) && isOn(others)) await setTimeout(sleepAgainMs);
    await turnOf(others, longTurn);
  }
}

function turnOfOurs({ kind, connections, depth }: Workload): number {
  if (connections * depth > shallowMax) return longTurnSeconds;
  const isLarge = kind === 'read-64k' || kind === 'extents';
  return isLarge && depth > 1 ? turnSecondsOfLarge : turnSeconds;
}

async function turnOf(group: readonly GuardedRun[], seconds: number): Promise<void> {
  for (const one of shuffled(group)) {
    await one.attempt((run) => run.measure(seconds));
  }
}

/** A candidate's run that does nothing more once it has failed. */
class GuardedRun {
  measurement: Measurement | undefined;
  readonly isOurs: boolean;
  private readonly run: CandidateRun;
  private stopped = false;
  private failure: { readonly reason: unknown } | undefined;

  constructor(run: CandidateRun, isOurs: boolean) {
    this.run = run;
    this.isOurs = isOurs;
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  async attempt(work: (run: CandidateRun) => Promise<void>): Promise<void> {
    if (this.failed) return;
    try {
      await work(this.run);
    } catch (reason) {
      this.failure = { reason };
      // At once, so that it does not disturb the others.
      await this.stop();
    }
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    try {
      await this.run.stop();
    } catch (reason) {
      // The first failure is the cause of the others.
      this.failure ??= { reason };
    }
  }

  result(): PromiseSettledResult<Measurement> {
    const { failure, measurement } = this;
    if (failure !== undefined) return { status: 'rejected', reason: failure.reason };
    if (measurement === undefined) throw new Error('It was not measured.');
    return { status: 'fulfilled', value: measurement };
  }
}
