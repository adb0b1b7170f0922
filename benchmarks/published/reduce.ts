/** Reduces the results of a run to what is published. */
import { nameOfCandidate } from '../names.js';
import { rowsOf, type Row } from '../report/summary.js';
import type { Gain, Results, Trial } from '../results.js';
import { gainOver, type Speeds } from '../statistics/gain.js';
import type {
  PublishedCandidate,
  PublishedGain,
  PublishedResults,
  PublishedRow,
} from './schema.js';

/** What candidates are compared with, besides `plain` and what the results compare them with. */
const baselines: readonly string[] = ['sends', 'stream', 'vectored'];

const digits = 4;

export function reduce(results: Results): PublishedResults {
  const { version, commit, command, startedAt, seconds } = results;
  const { machine, processors, timing, micro } = results;
  return {
    schema: 1,
    ...{ version, commit, command, startedAt, seconds, machine, processors, timing },
    rows: rowsOf(results).map((row) => reduceRow(results, row)),
    micro: micro.map(rounded),
  };
}

/** One row a line, which keeps the file small and its changes readable. */
export function publishedText({ rows, micro, ...rest }: PublishedResults): string {
  const head = JSON.stringify(rest, null, 2).replace(/\n\}$/, '');
  return `${head},\n  "rows": ${linesOf(rows)},\n  "micro": ${linesOf(micro)}\n}\n`;
}

function linesOf(values: readonly unknown[]): string {
  if (values.length === 0) return '[]';
  return `[\n${values.map((value) => `    ${JSON.stringify(value)}`).join(',\n')}\n  ]`;
}

function reduceRow(results: Results, { workload, trials }: Row): PublishedRow {
  const recorded = results.comparisons.filter(
    (comparison) => JSON.stringify(comparison.workload) === JSON.stringify(workload),
  );
  return {
    workload,
    candidates: trials.map((trial): PublishedCandidate => {
      const name = nameOfCandidate(trial.candidate);
      const gains = new Map<string, Gain | null>([['plain', trial.gain]]);
      for (const { of, over, gain } of recorded) if (of === name) gains.set(over, gain);
      for (const baseline of baselines) {
        if (gains.has(baseline) || trial.candidate.type === 'peer') continue;
        gains.set(baseline, gainOverBaseline(trial, trials, baseline));
      }
      return {
        name,
        version: trial.candidate.type === 'peer' ? trial.candidate.version : null,
        runs: trial.samples.length,
        averages: rounded(trial.averages),
        latencyMicroseconds:
          trial.latencyMicroseconds === null ? null : rounded(trial.latencyMicroseconds),
        gains: Object.fromEntries(
          [...gains].flatMap(([over, gain]) => (gain === null ? [] : [[over, published(gain)]])),
        ),
      };
    }),
  };
}

function gainOverBaseline(trial: Trial, trials: readonly Trial[], baseline: string): Gain | null {
  const other = trials.find(({ candidate }) => nameOfCandidate(candidate) === baseline);
  return other === undefined || other === trial ? null : gainOver(speedsOf(other), speedsOf(trial));
}

/** By round; empty for a round in which the candidate was not measured. */
function speedsOf({ samples }: Trial): Speeds {
  const rounds = Math.max(0, ...samples.map(({ round }) => round + 1));
  return Array.from(
    { length: rounds },
    (_, number) => samples.find(({ round }) => round === number)?.turns ?? [],
  );
}

function published({ average, low, high, verdict }: Gain): PublishedGain {
  return rounded({ average, low, high, verdict });
}

/** With every number of the object rounded. */
function rounded<T extends object>(object: T): T {
  return JSON.parse(JSON.stringify(object), (_, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(digits)) : value,
  ) as T;
}
