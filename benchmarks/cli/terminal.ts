/** Progress and tables for the terminal. */
import { SingleBar } from 'cli-progress';
import { markdownTable } from 'markdown-table';
import type { Figure, Gain, Results, Trial } from '../results.js';
import { nameOf, nameOfCandidate } from '../names.js';
import type { Progress } from '../measure/run-plan.js';

/** Interval of progress lines if standard error is not a terminal. */
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

  /** Without a terminal this prints a last line. */
  complete(): void {
    if (this.started) this.bar.update(1, { left: clock(0), what: 'done' });
    this.stop();
  }

  /** Clears the progress line. Call it before writing anything else. */
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

interface Column {
  readonly title: string;
  readonly align: 'l' | 'r';
  readonly textOf: (trial: Trial) => string;
  /** Left out where no trial has it, as without a socket of TCP, or with fio. */
  readonly isOptional?: true;
}

function average(key: Figure, digits: number) {
  return ({ averages }: Trial): string => averages[key]?.toFixed(digits) ?? '';
}

/** With half of its 95 % confidence interval. */
function rateOf({ averages }: Trial): string {
  const { requestsPerSecond: rate, requestsPerSecondError: error } = averages;
  if (rate === null) return '';
  return error === null ? rate.toFixed(0) : `${rate.toFixed(0)} ± ${error.toFixed(0)}`;
}

const columns: readonly Column[] = [
  { title: 'by', align: 'l', textOf: ({ candidate }) => nameOfCandidate(candidate) },
  { title: 'requests/s (± 95 %)', align: 'r', textOf: rateOf },
  {
    title: 'gain over plain (99 % interval)',
    align: 'r',
    textOf: ({ gain }) => (gain === null ? '' : rangeOf(gain)),
  },
  { title: '', align: 'l', textOf: ({ gain }) => gain?.verdict ?? '' },
  {
    title: 'calls',
    align: 'r',
    textOf: average('systemCallsPerRequest', 2),
    isOptional: true,
  },
  {
    title: 'segments',
    align: 'r',
    textOf: average('segmentsPerReply', 2),
    isOptional: true,
  },
  { title: 'server µs', align: 'r', textOf: average('serverMicrosecondsPerRequest', 2) },
  { title: 'client µs', align: 'r', textOf: average('clientMicrosecondsPerRequest', 2) },
  {
    title: 'p50 µs',
    align: 'r',
    textOf: ({ latencyMicroseconds }) => latencyMicroseconds?.p50.toFixed(0) ?? '',
  },
  {
    title: 'p99 µs',
    align: 'r',
    textOf: ({ latencyMicroseconds }) => latencyMicroseconds?.p99.toFixed(0) ?? '',
  },
];

/** The trials as a Markdown table, each figure the average of its runs, by request where that applies. */
export function trialsTable({ trials }: Results): string {
  const shown = columns.filter(
    ({ isOptional, textOf }) => isOptional !== true || trials.some((trial) => textOf(trial) !== ''),
  );
  let last = '';
  const rows = trials.map((trial) => {
    const name = nameOf(trial.workload);
    const cells = [name === last ? '' : name, ...shown.map(({ textOf }) => textOf(trial))];
    last = name;
    return cells;
  });
  return markdownTable([['', ...shown.map(({ title }) => title)], ...rows], {
    align: ['l', ...shown.map(({ align }) => align)],
  });
}

function rangeOf({ average: middle, low, high }: Gain): string {
  return `${percent(middle)} (${percent(low)} to ${percent(high)})`;
}

function percent(value: number): string {
  const rounded = (value * 100).toFixed(1);
  return `${value > 0 && rounded !== '0.0' ? '+' : ''}${rounded} %`;
}

/** Gains over other candidates than `plain`. */
export function comparisonsTable({ comparisons }: Results): string {
  let last = '';
  const rows = comparisons.map(({ workload, of, over, gain }) => {
    const name = nameOf(workload);
    const shown = name === last ? '' : name;
    last = name;
    return [shown, of, over, rangeOf(gain), gain.verdict];
  });
  return markdownTable([['', 'of', 'over', 'gain (99 % interval)', ''], ...rows], {
    align: ['l', 'l', 'l', 'r', 'l'],
  });
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
