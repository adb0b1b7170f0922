/** RESULTS.md and the results behind it, and how the one tells of the other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  Comparison,
  Gain,
  HeaderKind,
  Kind,
  Link,
  Results,
  SelfCheck,
  Trial,
  Verdict,
} from '../../../benchmarks/results.js';
import { usualHeaders } from '../../../benchmarks/workloads.js';

const folder = fileURLToPath(new URL('../../../../benchmarks/', import.meta.url));

export const text = readFileSync(join(folder, 'RESULTS.md'), 'utf8');

/** Without words, three times. */
export const usualRuns = ['default.json', 'default-again.json', 'default-third.json'] as const;
/** What most figures are from, and what was asked besides. */
const names = [
  'full.json',
  'sends.json',
  'awake.json',
  'fio.json',
  ...usualRuns,
  'cubic.json',
  'extents.json',
  'micro.json',
];

function parsed(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, 'results', name), 'utf8'));
}

export const runs: ReadonlyMap<string, Results> = new Map(
  names.map((name) => [name, parsed(name) as Results]),
);

export function resultsIn(name: string): Results {
  const run = runs.get(name);
  assert.ok(run !== undefined, name);
  return run;
}

export const full = resultsIn('full.json');
/** Of a later commit. */
export const micro = resultsIn('micro.json');
export const selfCheck = parsed('selfcheck.json') as SelfCheck;

export const links: Readonly<Record<string, Link>> = {
  Unix: 'unix',
  'Unix, TLS': 'unix-tls',
  TCP: 'tcp',
  'TCP, TLS': 'tcp-tls',
  pipes: 'pipe',
  'TCP, veth': 'veth',
};
export const kinds: Readonly<Record<string, Kind>> = {
  '4 KiB reads': 'read-4k',
  '64 KiB reads': 'read-64k',
  'half 4 KiB writes': 'mixed-4k',
  BLOCK_STATUS: 'extents',
  '512-byte reads': 'read-512',
};

/** The rows of the table behind a line, without its head. */
export function rowsBehind(line: string): string[][] {
  const [, rest] = text.split(`\n${line}\n\n`);
  assert.ok(rest !== undefined, line);
  const [table = ''] = rest.split('\n\n');
  return rowsOf(table.trim()).slice(2);
}

export function rowsOf(table: string): string[][] {
  return table.split('\n').map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((one) => one.trim()),
  );
}

/** What a row of the text is about. */
export interface Asked {
  readonly link: Link | undefined;
  readonly kind: Kind | undefined;
  readonly depth: number;
  readonly connections: number;
  readonly headers?: HeaderKind;
}

function isOf(asked: Asked, workload: Trial['workload']): boolean {
  const { link, kind, depth, connections } = asked;
  assert.ok(link !== undefined && kind !== undefined, 'a row of a link and a kind that there is');
  return (
    workload.link === link &&
    workload.kind === kind &&
    workload.depth === depth &&
    workload.connections === connections &&
    workload.headers === (asked.headers ?? usualHeaders(kind))
  );
}

/** By the name of the strategy or of the other server. */
export function find(asked: Asked, name: string, run = full): Trial | undefined {
  return run.trials.find(
    ({ workload, contender }) =>
      isOf(asked, workload) &&
      (contender.type === 'strategy' ? contender.strategy : contender.name) === name,
  );
}

/** To three digits, or all of those before the point. */
export function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const rounded = Number(value.toPrecision(3));
  return rounded < 1000 ? value.toPrecision(3) : rounded.toLocaleString('en');
}

/** Of one over another, in any workload or in one. */
export function compared(asked: Asked, of: string, over: string, run = full): Gain | undefined {
  const found = run.comparisons.find(
    (one) => isOf(asked, one.workload) && one.of === of && one.over === over,
  );
  return found?.gain;
}

/** What all trials and comparisons say of one over another. */
export function verdictsOf(of: string, over: string, link: Link): Verdict[] {
  const gains =
    over === 'plain'
      ? full.trials.filter(({ contender }) => {
          return contender.type === 'strategy' && contender.strategy === of;
        })
      : full.comparisons.filter((one) => one.of === of && one.over === over);
  return gains.flatMap(({ workload, gain }) =>
    workload.link === link && gain !== null ? [gain.verdict] : [],
  );
}

export function counted(verdicts: readonly Verdict[]): Record<Verdict, number> {
  const counts = { faster: 0, slower: 0, 'no difference shown': 0 };
  for (const verdict of verdicts) counts[verdict]++;
  return counts;
}

/** Comparisons of our default with other servers, the limit apart. */
export function withServers(): Comparison[] {
  return full.comparisons.filter(({ over }) => ['nbdkit', 'qemu-nbd', 'nbd-server'].includes(over));
}

export function percent(share: number): string {
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const amount = Math.abs(share * 100).toLocaleString('en', digits);
  return `${share < 0 ? '−' : '+'}${amount} %`;
}

/** In a table of gains. */
export function gainCell(trial: Trial | undefined): string {
  if (trial === undefined) return '–';
  assert.ok(trial.gain !== null);
  return shortGain(trial.gain);
}

export function shortGain({ average, verdict }: Gain): string {
  if (average >= 99) return `${shown(1 + average)} times`;
  return percent(average) + (verdict === 'no difference shown' ? ' ?' : '');
}

/** With its interval. */
export function gainText({ average, low, high, verdict }: Gain): string {
  const doubt = verdict === 'no difference shown' ? `, ${verdict}` : '';
  return `${percent(average)} (${percent(low).replace(' %', '')} to ${percent(high)})${doubt}`;
}
