/** What a person at the terminal sees: how far it is, and what came out. */
import { SingleBar } from 'cli-progress';
import { markdownTable } from 'markdown-table';
import type { Gain, Results, Sample, Trial } from './results.js';
import { nameOf, nameOfContender, type Progress } from './run.js';

/** Where nobody watches, a line of progress so often. */
const lineMs = 15_000;

/** On standard error, so that the table can go elsewhere. */
export class ProgressBar {
  private readonly bar = new SingleBar({
    format: '{bar} {percentage} %, {left} left: {what}',
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: lineMs,
    barsize: 20,
    hideCursor: true,
    clearOnComplete: true,
  });
  private started = false;

  readonly show = ({ done, secondsLeft, what }: Progress): void => {
    const shown = { left: clock(secondsLeft), what };
    if (!this.started) this.bar.start(1, done, shown);
    else this.bar.update(done, shown);
    this.started = true;
  };

  /** Everything was done: where nobody watches, the last line says so. */
  complete(): void {
    if (this.started) this.bar.update(1, { left: clock(0), what: 'done' });
    this.stop();
  }

  /** Clears the line, and with it what was written behind it: before anything else is told. */
  stop(): void {
    if (this.started) this.bar.stop();
    this.started = false;
  }
}

function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  return minutes === 0 ? `${whole} s` : `${minutes} min ${whole % 60} s`;
}

const columns = [
  ...['', 'by', 'requests/s', 'gain over plain (99 % interval)', '', 'calls', 'segments'],
  ...['server µs', 'client µs', 'p50 µs', 'p99 µs'],
];

/** The trials as a Markdown table, each figure the average of its runs, by request where that applies. */
export function trialsTable(results: Results): string {
  let last = '';
  const rows = results.trials.map((trial) => {
    const name = nameOf(trial.workload);
    const cells = [name === last ? '' : name, ...cellsOf(trial)];
    last = name;
    return cells;
  });
  return markdownTable([columns, ...rows], {
    align: columns.map((_, index) => (index < 2 || index === 4 ? 'l' : 'r')),
  });
}

function cellsOf({ contender, averages, latencyMicroseconds, gain }: Trial): string[] {
  const average = (key: keyof Sample, digits: number): string =>
    averages[key]?.toFixed(digits) ?? '';
  return [
    nameOfContender(contender),
    average('requestsPerSecond', 0),
    ...gainCells(gain),
    average('systemCallsPerRequest', 2),
    average('segmentsPerReply', 2),
    average('serverMicrosecondsPerRequest', 2),
    average('clientMicrosecondsPerRequest', 2),
    latencyMicroseconds?.p50.toFixed(0) ?? '',
    latencyMicroseconds?.p99.toFixed(0) ?? '',
  ];
}

function gainCells(gain: Gain | null): [string, string] {
  if (gain === null) return ['', ''];
  const { average, low, high, verdict } = gain;
  return [`${percent(average)} (${percent(low)} to ${percent(high)})`, verdict];
}

function percent(value: number): string {
  const rounded = (value * 100).toFixed(1);
  return `${value > 0 && rounded !== '0.0' ? '+' : ''}${rounded} %`;
}

/** Single calls, in nanoseconds. */
export function microTable({ micro }: Results): string {
  const rows = micro.map(({ name, pieces, nanosecondsPerCall, nanosecondsError }) => [
    name,
    pieces === null ? '' : String(pieces),
    `${nanosecondsPerCall.toFixed(0)} ± ${nanosecondsError.toFixed(0)}`,
  ]);
  return markdownTable([['call', 'pieces', 'ns a call'], ...rows], { align: ['l', 'r', 'r'] });
}

export function skippedLines({ skipped }: Results): string {
  return skipped.map(({ what, why }) => `not measured: ${what}: ${why}\n`).join('');
}
