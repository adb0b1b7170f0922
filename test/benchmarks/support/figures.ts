/**
 * Does a text about a run say only what was measured? Every figure in it has to
 * be in the results, or follow from them: averages, medians, ratios.
 */
import {
  type Figure,
  type Gain,
  links,
  strategies,
  type Results,
  type Trial,
} from '../../../benchmarks/results.js';
import { kindLabels } from '../../../benchmarks/report/labels.js';
import { rowsOf, tallyOf } from '../../../benchmarks/report/summary.js';

type Unit =
  | 'percent'
  | 'ratio'
  | 'rate'
  | 'systemCalls'
  | 'segments'
  | 'bytes'
  | 'milliseconds'
  | 'microseconds'
  | 'nanoseconds';

/** What may stand behind a figure, and which of the results' numbers it then can be. */
const units: readonly (readonly [Unit, RegExp])[] = [
  ['percent', /^\s?%/],
  ['ratio', /^\s?(×|times\b)/],
  ['rate', /^ requests (a|per) second|^ requests\/s/],
  ['systemCalls', /^ system calls?\b/],
  ['segments', /^ (TCP )?segments?\b/],
  ['bytes', /^ bytes?\b/],
  ['milliseconds', /^ ms\b/],
  ['microseconds', /^ (µs|microseconds)\b/],
  ['nanoseconds', /^ (ns|nanoseconds)\b/],
];

type Known = Record<Unit | 'other', number[]>;

function present(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function addTrial(known: Known, trial: Trial): void {
  const { samples, latencyMicroseconds, gain, workload } = trial;
  const all = [...samples, trial.averages];
  const of = (name: Figure) => present(all.map((sample) => sample[name]));
  known.rate.push(...of('requestsPerSecond'));
  known.systemCalls.push(...of('systemCallsPerRequest'));
  known.segments.push(...of('segmentsPerReply'));
  known.bytes.push(...of('bytesPerSegment'));
  known.microseconds.push(
    ...of('serverMicrosecondsPerRequest'),
    ...of('clientMicrosecondsPerRequest'),
    ...present(Object.values<number | null>({ ...latencyMicroseconds })),
  );
  known.other.push(trial.averages.mishaps, workload.connections, workload.depth, samples.length);
  if (gain !== null) addGain(known, gain);
}

function addGain(known: Known, { average, worst, best, low, high }: Gain): void {
  const gains = [average, worst, best, low, high];
  known.percent.push(...gains.map((share) => share * 100));
  known.ratio.push(...gains.map((share) => 1 + share));
}

function knownIn(results: Results): Known {
  const { trials, comparisons, micro, machine, processors, timing, seconds } = results;
  const known: Known = {
    // Of the confidence intervals, of the latencies, of mishaps, and the least difference.
    percent: [95, 50, 99, 99.9, 60, 3],
    ratio: [],
    rate: [],
    systemCalls: [],
    segments: [],
    bytes: [],
    milliseconds: [],
    microseconds: [],
    nanoseconds: micro.flatMap((one) => [one.nanosecondsPerCall, one.nanosecondsError]),
    other: [
      ...present(micro.map(({ pieces }) => pieces)),
      ...(processors === null ? [] : [...processors.servers, processors.load]),
      ...[machine.cores, machine.memoryBytes, machine.memoryBytes / 2 ** 30],
      sum(trials.map(({ averages }) => averages.mishaps)),
      sum(trials.map(({ samples }) => samples.length)),
      ...[seconds, Math.floor(seconds / 60), Math.round(seconds / 60), Math.round(seconds) % 60],
    ],
  };
  for (const trial of trials) addTrial(known, trial);
  for (const { gain } of comparisons) addGain(known, gain);
  known.other.push(timing.seconds, timing.warmUpSeconds);
  const rows = rowsOf(results);
  // What others reach of ours is the inverse of what ours gains over them.
  known.ratio.push(
    ...comparisons.flatMap(({ gain }) =>
      [gain.average, gain.low, gain.high].map((share) => 1 / (1 + share)),
    ),
  );
  for (const link of links) {
    for (const strategy of strategies) {
      const tally = tallyOf(rows, strategy, link);
      if (tally === null) continue;
      known.percent.push(tally.medianGain * 100);
      known.other.push(tally.workloads, ...Object.values(tally.verdicts));
    }
  }
  known.milliseconds.push(...known.microseconds.map((value) => value / 1000));
  return known;
}

/** Numbers of a percentage or a ratio are never meant by a figure that does not say so. */
function candidates(known: Known, unit: Unit | undefined): number[] {
  if (unit !== undefined) return known[unit];
  const { rate, systemCalls, segments, bytes, microseconds, nanoseconds, other } = known;
  return [rate, systemCalls, segments, bytes, microseconds, nanoseconds, other].flat();
}

/** Is the figure the number, rounded to the figure's last digit and to three digits at least? */
function isRounded(figure: string, number: number): boolean {
  const digits = figure.replaceAll(/[^\d.]/g, '');
  const [whole = '', fraction] = digits.split('.');
  const zeros = /0*$/.exec(whole)?.[0].length ?? 0;
  const exponent =
    fraction === undefined ? Math.min(zeros, Math.max(0, whole.length - 3)) : -fraction.length;
  if (figure.startsWith('+') && number < 0) return false;
  if (/^[-−]/.test(figure) && number > 0) return false;
  const distance = Math.abs(Number(digits) - Math.abs(number));
  return distance <= 10 ** exponent / 2 + 1e-9 * Math.abs(number);
}

/** Texts of the results that have digits in them, such as versions: whoever quotes them is right. */
function textsOf(results: Results): string[] {
  const texts: string[] = [];
  JSON.stringify(results, (_key, value: unknown) => {
    if (typeof value === 'string') texts.push(value);
    return value;
  });
  texts.push(results.startedAt.slice(0, 10), results.machine.node.replace(/^v/, ''));
  return texts;
}

/** A blank of the same length, so that places stay what they are. */
function blanked(text: string, phrases: readonly string[]): string {
  return phrases
    .filter((phrase) => /\d/.test(phrase))
    .toSorted((a, b) => b.length - a.length)
    .reduce((rest, phrase) => {
      const exactly = new RegExp(`(?<![\\w.])${literally(phrase)}(?![\\w]|\\.\\d)`, 'g');
      return rest.replaceAll(exactly, (found) => ' '.repeat(found.length));
    }, text);
}

function literally(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** Not part of a name or a version, such as p99 or 6.12.9. */
const figurePattern = /(?<![\w#.])(?:[+−]|(?<![^\s(|>])-)?\d+(?:,\d{3})*(?:\.\d+)?(?!\.?\d)/g;
/** `3 to 5 system calls`: the unit is that of both. */
const rangePattern = /^(?:\s?%)?(?: (?:to|and|or|instead of|against) [+−-]?\d[\d,.]*\d?)+/;

/**
 * The figures of a Markdown text that are not in the results, with their lines.
 * Code and the targets of links are left out, as are the constants: phrases
 * with digits that are no measurement, such as `TLS 1.3`.
 */
export function figuresNotIn(
  text: string,
  results: Results,
  constants: readonly string[] = [],
): string[] {
  const known = knownIn(results);
  const blank = (found: string) => ' '.repeat(found.length);
  const markup = text
    .replaceAll(/`[^`\n]+`/g, blank)
    .replaceAll(/\]\([^)\n]*\)/g, blank)
    .replaceAll(/^ *\d+\. /gm, blank)
    .replaceAll('\u00a0', ' ');
  const prose = blanked(markup, [...textsOf(results), ...Object.values(kindLabels), ...constants]);
  return [...prose.matchAll(figurePattern)].flatMap((match) => {
    const [figure] = match;
    const behind = prose.slice(match.index + figure.length).replaceAll('\n', ' ');
    const unit = unitOf(behind) ?? unitOf(behind.replace(rangePattern, ''));
    if (candidates(known, unit).some((number) => isRounded(figure, number))) return [];
    const line = prose.slice(0, match.index).split('\n').length;
    return [`line ${line}: ${figure}${unit === undefined ? '' : ` (${unit})`}`];
  });
}

function unitOf(behind: string): Unit | undefined {
  return units.find(([, pattern]) => pattern.test(behind))?.[0];
}
