/**
 * A sample of each contender of a row. Caller: run.ts. Calls: contestant.ts.
 * Their servers are started for it, filled and warmed up; then they take turns,
 * a few milliseconds each, until each has had its time. What slows the machine
 * down for a while, on virtual ones many times a second, so slows all of them
 * down, and not the one that is being measured.
 */
import { setTimeout } from 'node:timers/promises';
import { Contestant, type Load, type Means, type Start, type Taken } from './candidate-run.js';
import type { Timing } from './plan.js';
import type { Workload } from '../results.js';
import { shuffled } from '../statistics/statistics.js';

export interface Entrant {
  readonly start: Start;
  /** Nobody else's. */
  readonly load: Load;
  /** Whether it is one of our servers. */
  readonly isOurs: boolean;
}

export type SampleTiming = Pick<Timing, 'seconds' | 'warmUpSeconds'>;

/** A turn of others, which may need more to get going, and of many requests at a time. */
const longTurnSeconds = 0.05;
const shallowMax = 64;
/**
 * A turn of ours: so short that what slows the machine down for a moment spoils
 * few, and long enough for two batches of replies at least. Whoever was asked
 * before has filled the caches, for all of them alike.
 */
const turnSeconds = 0.008;
const turnSecondsOfLarge = 0.016;
/** Others are compiled already. */
const othersWarmUpSeconds = 0.05;

/**
 * Our servers may keep processors awake for two looks of lib/server/busy-poll/cpu-latency.ts
 * after their turn. Nothing tells when they let go, and others are to be measured
 * as they are, with processors that sleep.
 */
const sleepAgainMs = 45;

/** Those that failed say why; they do not disturb the others. */
export async function takeSamples(
  workload: Workload,
  entrants: readonly Entrant[],
  timing: SampleTiming,
  means: Means,
): Promise<PromiseSettledResult<Taken>[]> {
  const rivals = entrants.map(
    ({ start, load, isOurs }) => new Rival(new Contestant(workload, start, load, means), isOurs),
  );
  const ours = rivals.filter(({ isOurs }) => isOurs);
  const others = rivals.filter(({ isOurs }) => !isOurs);
  await Promise.all(ours.map((one) => one.attempt((contestant) => contestant.start())));
  await Promise.all(ours.map((one) => one.attempt((contestant) => contestant.moveApart())));
  // One by one: whoever is told a port finds it free only until the next one looks.
  for (const one of others) await one.attempt((contestant) => contestant.start());
  for (const one of shuffled(rivals)) {
    const seconds = one.isOurs
      ? timing.warmUpSeconds * (warmsUpSlowly(workload) ? 2 : 1)
      : Math.min(timing.warmUpSeconds, othersWarmUpSeconds);
    await one.attempt((contestant) => contestant.warmUp(seconds));
  }
  await takeTurns(workload, ours, others, timing.seconds);
  for (const one of rivals) {
    await one.attempt(async (contestant) => {
      one.taken = await contestant.finish();
    });
  }
  await Promise.all(rivals.map((one) => one.stop()));
  return rivals.map((one) => one.result());
}

/** V8 has to compile more there, Node's code among it, or sees few requests to do it for. */
function warmsUpSlowly({ link, connections, depth }: Workload): boolean {
  const isNodes = link === 'unix-tls' || link === 'tcp-tls' || link === 'pipe';
  return isNodes || connections * depth === 1;
}

/** Ours and others by turns, to and fro, so that the pause is needed every other time. */
async function takeTurns(
  workload: Workload,
  ours: readonly Rival[],
  others: readonly Rival[],
  seconds: number,
): Promise<void> {
  // fio cannot be told to go on.
  const isOnce = workload.load === 'fio';
  const longTurns = isOnce ? 1 : Math.max(1, Math.round(seconds / longTurnSeconds));
  const longTurn = seconds / longTurns;
  const turns = isOnce ? 1 : Math.max(1, Math.floor(longTurn / turnOfOurs(workload)));
  const isOn = (group: readonly Rival[]): boolean => group.some(({ failed }) => !failed);
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

async function turnOf(group: readonly Rival[], seconds: number): Promise<void> {
  for (const one of shuffled(group)) {
    await one.attempt((contestant) => contestant.measure(seconds));
  }
}

/** A contestant, until something of it fails. */
class Rival {
  taken: Taken | undefined;
  readonly isOurs: boolean;
  private readonly contestant: Contestant;
  private stopped = false;
  private failure: { readonly reason: unknown } | undefined;

  constructor(contestant: Contestant, isOurs: boolean) {
    this.contestant = contestant;
    this.isOurs = isOurs;
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  async attempt(work: (contestant: Contestant) => Promise<void>): Promise<void> {
    if (this.failed) return;
    try {
      await work(this.contestant);
    } catch (reason) {
      this.failure = { reason };
      // At once, so that it does not disturb those that go on.
      await this.stop();
    }
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    try {
      await this.contestant.stop();
    } catch (reason) {
      // The first failure says most.
      this.failure ??= { reason };
    }
  }

  result(): PromiseSettledResult<Taken> {
    const { failure, taken } = this;
    if (failure !== undefined) return { status: 'rejected', reason: failure.reason };
    if (taken === undefined) throw new Error('It was not measured.');
    return { status: 'fulfilled', value: taken };
  }
}
