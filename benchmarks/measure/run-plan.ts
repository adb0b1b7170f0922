/**
 * Takes all samples of a plan, round by round. Owns the measurements so far and the
 * time budget.
 */
import { messageOf } from '../../lib/errors.js';
import { collect, type Collected, type MeasuredRow } from './collect.js';
import { nameOf } from '../names.js';
import { Pace } from './pace.js';
import { roundsWithin, settlingRunsMax, type Row, type Timing } from './plan.js';
import type { Candidate, Workload } from '../results.js';
import type { Measurement } from './candidate-run.js';
import type { SampleTiming } from './sample.js';
import { Series } from './series.js';
import { unsettledOf, type Unsettled } from './settle.js';
import { shuffled, sum } from '../statistics/statistics.js';

export interface Progress {
  /** Of 1. */
  readonly done: number;
  /** At most, where what is not settled yet is measured again. */
  readonly secondsLeft: number;
  /** What is being measured. */
  readonly what: string;
}

export interface RunOptions {
  readonly timing: Timing;
  /** Takes a sample of each candidate, in this order. */
  readonly take: (
    workload: Workload,
    candidates: readonly Candidate[],
    timing: SampleTiming,
  ) => Promise<readonly PromiseSettledResult<Measurement>[]>;
  readonly progress: (progress: Progress) => void;
  /** No further sample is started when aborted. */
  readonly signal: AbortSignal;
  /** Whether another server was named, so that its failure is a failure of the run. */
  readonly isNamed?: (candidate: Candidate) => boolean;
  /** Numbers from 0 to 1, by which the order is chosen. */
  readonly random?: () => number;
  /** Seconds of a clock. */
  readonly clock?: () => number;
}

export interface Measured extends Collected {
  /** How many rounds are counted of each trial at least, the one that warms up left out. */
  readonly rounds: number;
  readonly interrupted: boolean;
}

/** Of samples that do not count. */
const throwawaySeconds = 0.05;
/** So many times as long are samples of what is in doubt: they need no more time to start. */
const settlingLength = 5;

/** Of what is settled, what is least so has the rest of the time: see settle.ts. */
const surelySettled = 0.5;

/** Rounds of which a run that was interrupted is still worth a report, the first left out. */
const roundsMin = 3;

/** @throws the signal's reason where it was aborted before there is something to report. */
export async function runPlan(rows: readonly Row[], options: RunOptions): Promise<Measured> {
  const run = new Run(rows, options);
  const counted = await run.wholeRounds();
  if (counted < roundsMin) options.signal.throwIfAborted();
  await run.settle();
  return {
    ...collect(run.rows, options.isNamed),
    rounds: counted,
    interrupted: options.signal.aborted,
  };
}

class Run {
  readonly rows: readonly MeasuredRow[];
  private readonly options: RunOptions;
  private readonly pace: Pace;
  /** Samples that a round of everything has still to take, and all later ones of the kind. */
  private samplesLeft = 0;
  private done = 0;

  constructor(plan: readonly Row[], options: RunOptions) {
    this.rows = plan.map(({ workload, candidates }) => ({
      workload,
      series: candidates.map((candidate) => new Series(candidate)),
      rounds: 0,
    }));
    this.options = options;
    this.pace = new Pace(options.timing, options.clock);
  }

  /** Returns how many count. */
  async wholeRounds(): Promise<number> {
    const { timing, random } = this.options;
    const size = sum(this.rows.map(({ series }) => series.length));
    const fitting = (): number => roundsWithin(timing, size * this.pace.secondsFor(timing.seconds));
    let rounds = fitting();
    let number = 0;
    for (; number < rounds && !this.isStopped(); number++) {
      this.samplesLeft = (rounds - number) * size;
      for (const row of shuffled(this.rows, random)) {
        if (this.isStopped()) break;
        // The first round warms up: files, caches, the load.
        const seconds = number > 0 ? timing.seconds : Math.min(timing.seconds, throwawaySeconds);
        await this.take(row, row.series, seconds, number > 0);
        this.samplesLeft -= row.series.length;
      }
      rounds = Math.max(number + 1, fitting());
    }
    // The round that was cut short is not whole.
    return number - (this.isStopped() ? 2 : 1);
  }

  /** Rounds of what is in doubt, what takes least to settle first, while there is time. */
  async settle(): Promise<void> {
    if (this.options.timing.secondsMax === undefined) return;
    this.samplesLeft = 0;
    while (!this.isStopped() && this.settlingSecondsLeft >= 2 * this.settlingSampleSeconds) {
      const next = this.nearestToSettled(1) ?? this.nearestToSettled(surelySettled);
      if (next === undefined) return;
      await this.take(next.row, next.candidates, this.settlingSeconds, true);
    }
  }

  private nearestToSettled(
    doubtMax: number,
  ): (Unsettled<Series> & { row: MeasuredRow }) | undefined {
    const samplesLeft = this.settlingSecondsLeft / this.settlingSampleSeconds;
    const secondsMax = (samplesLeft / 2) * this.settlingSeconds;
    const unsettled = this.rows
      .filter(({ rounds }) => rounds < settlingRunsMax - 1)
      .flatMap((row) => {
        const sound = row.series.filter(({ failure }) => failure === undefined);
        const found = unsettledOf(row.workload, sound, secondsMax, doubtMax);
        return found === undefined || found.candidates.length > samplesLeft
          ? []
          : [{ ...found, row }];
      });
    return unsettled.toSorted((a, b) => a.secondsMissing - b.secondsMissing)[0];
  }

  private async take(
    row: MeasuredRow,
    all: readonly Series[],
    seconds: number,
    counts: boolean,
  ): Promise<void> {
    const sound = all.filter(({ failure }) => failure === undefined);
    if (sound.length === 0) return;
    this.reportProgress(row.workload);
    const candidates = sound.map(({ candidate }) => candidate);
    // What is thrown away need not be warm.
    const warmUpSeconds = counts ? this.options.timing.warmUpSeconds : 0;
    const results = await this.options.take(row.workload, candidates, { seconds, warmUpSeconds });
    this.pace.took(sound.length, seconds);
    // Aborting ends the load generators, so these samples are incomplete.
    if (this.isStopped()) return;
    for (const [index, result] of results.entries()) {
      const series = sound[index];
      if (series === undefined) continue;
      if (result.status === 'rejected') series.failure = messageOf(result.reason);
      else if (counts) series.add(result.value, row.rounds, seconds);
    }
    if (counts) row.rounds++;
  }

  /** Progress never decreases, even if the estimate grows. */
  private reportProgress(workload: Workload): void {
    const { elapsedSeconds } = this.pace;
    const secondsLeft = this.wholeSecondsLeft + this.settlingSecondsLeft;
    const done = elapsedSeconds === 0 ? 0 : elapsedSeconds / (elapsedSeconds + secondsLeft);
    this.done = Math.max(this.done, done);
    this.options.progress({ done: this.done, secondsLeft, what: nameOf(workload) });
  }

  private get settlingSeconds(): number {
    return settlingLength * this.options.timing.seconds;
  }

  private get settlingSampleSeconds(): number {
    return this.pace.secondsFor(this.settlingSeconds);
  }

  private get wholeSecondsLeft(): number {
    return this.samplesLeft * this.pace.secondsFor(this.options.timing.seconds);
  }

  private get settlingSecondsLeft(): number {
    const { secondsMax } = this.options.timing;
    if (secondsMax === undefined) return 0;
    const left = secondsMax - this.pace.elapsedSeconds - this.wholeSecondsLeft;
    const rounds = sum(this.rows.map((row) => settlingRunsMax - 1 - row.rounds));
    return Math.max(0, Math.min(left, 2 * rounds * this.settlingSampleSeconds));
  }

  // WorkerProcess anew each time: it changes while a sample is taken.
  private isStopped(): boolean {
    return this.options.signal.aborted;
  }
}
