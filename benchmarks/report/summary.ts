/** Groups trials by workload, for tables and pictures. */
import {
  kinds,
  links,
  strategies,
  type Candidate,
  type Gain,
  type Link,
  type Results,
  type Strategy,
  type Trial,
  type Verdict,
  type Workload,
} from '../results.js';
import { median } from '../statistics/statistics.js';

/** All trials of a workload: a row of a table. */
export interface Row {
  readonly workload: Workload;
  /** Strategies in their order, then peers by name. */
  readonly trials: readonly Trial[];
}

const headersOrder = ['simple', 'structured', 'extended'];
const loadOrder = ['nbdcork', 'fio'];

export function compareWorkloads(a: Workload, b: Workload): number {
  return (
    links.indexOf(a.link) - links.indexOf(b.link) ||
    kinds.indexOf(a.kind) - kinds.indexOf(b.kind) ||
    a.connections - b.connections ||
    a.depth - b.depth ||
    headersOrder.indexOf(a.headers) - headersOrder.indexOf(b.headers) ||
    loadOrder.indexOf(a.load) - loadOrder.indexOf(b.load)
  );
}

function rank(candidate: Candidate): number {
  return candidate.type === 'strategy' ? strategies.indexOf(candidate.strategy) : strategies.length;
}

function nameOf(candidate: Candidate): string {
  return candidate.type === 'strategy' ? candidate.strategy : candidate.name;
}

function compareCandidates(a: Candidate, b: Candidate): number {
  return rank(a) - rank(b) || nameOf(a).localeCompare(nameOf(b), 'en');
}

/** The same text for the same work, whatever the order of its fields. */
function keyOf({ link, kind, connections, depth, headers, load }: Workload): string {
  return [link, kind, connections, depth, headers, load].join(' ');
}

export function rowsOf(results: Results): Row[] {
  const groups = new Map<string, { workload: Workload; trials: Trial[] }>();
  for (const trial of results.trials) {
    const { workload } = trial;
    const key = keyOf(workload);
    const group = groups.get(key) ?? { workload, trials: [] };
    group.trials.push(trial);
    groups.set(key, group);
  }
  for (const { trials } of groups.values()) {
    trials.sort((a, b) => compareCandidates(a.candidate, b.candidate));
  }
  return [...groups.values()].sort((a, b) => compareWorkloads(a.workload, b.workload));
}

export function trialOf(row: Row, strategy: Strategy): Trial | undefined {
  return row.trials.find(
    ({ candidate }) => candidate.type === 'strategy' && candidate.strategy === strategy,
  );
}

export function peersOf(row: Row): Trial[] {
  return row.trials.filter(({ candidate }) => candidate.type === 'peer');
}

/** The default of nbdcork: `batched`, or `stream` without a plain socket. */
export function defaultOf(row: Row): Trial | undefined {
  return trialOf(row, 'batched') ?? trialOf(row, 'stream');
}

/** The gain of our default over another server of the same row. */
export function gainOverPeer({ comparisons }: Results, row: Row, peer: Trial): Gain | undefined {
  const ours = defaultOf(row);
  if (ours === undefined) return undefined;
  const [key, name, theirs] = [keyOf(row.workload), nameOf(ours.candidate), nameOf(peer.candidate)];
  return comparisons.find(
    ({ workload, of, over }) => of === name && over === theirs && keyOf(workload) === key,
  )?.gain;
}

export const verdictNames = ['faster', 'slower', 'no difference shown'] as const;

/** All that a strategy did on a link, in one figure and one count a verdict. */
export interface Tally {
  readonly medianGain: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly workloads: number;
}

export function tallyOf(rows: readonly Row[], strategy: Strategy, link: Link): Tally | null {
  const gains = rows
    .filter(({ workload }) => workload.link === link)
    .map((row) => trialOf(row, strategy)?.gain)
    .filter((gain): gain is Gain => gain !== undefined && gain !== null);
  if (gains.length === 0) return null;
  const verdicts = { faster: 0, slower: 0, 'no difference shown': 0 };
  for (const { verdict } of gains) verdicts[verdict]++;
  return {
    medianGain: median(gains.map((gain) => gain.average)),
    verdicts,
    workloads: gains.length,
  };
}
