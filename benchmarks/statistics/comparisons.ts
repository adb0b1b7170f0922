/** Which candidates of a workload are compared. */
import type { Candidate, Strategy, Workload } from '../results.js';
import type { Speeds } from './gain.js';
import { median } from './statistics.js';

/** What was measured of one candidate of a row, as far as comparing needs it. */
export interface Compared {
  readonly candidate: Candidate;
  /** Of its turns, round by round; none of a round that it had no part in. */
  readonly speeds: Speeds;
  /** How long it was measured in each of these rounds. */
  readonly seconds: readonly number[];
}

export interface Pair<Of> {
  readonly of: Of;
  readonly over: Of;
}

const strategyPairs: readonly (readonly [Strategy, Strategy])[] = [
  ['cork', 'sends'],
  ['more', 'sends'],
  ['more', 'cork'],
  ['vectored', 'cork'],
  ['vectored', 'more'],
  ['batched', 'vectored'],
  ['batched', 'stream'],
];

/** Strategies with `plain`, and other servers where nothing better of ours is. */
export function pairsOverPlain<Of extends Compared>(row: readonly Of[]): Pair<Of>[] {
  const plain = strategyOf(row, 'plain');
  if (plain === undefined) return [];
  const hasDefault = defaultOf(row) !== undefined;
  return row
    .filter((one) => one !== plain && (one.candidate.type === 'strategy' || !hasDefault))
    .map((one) => ({ of: one, over: plain }));
}

/**
 * Strategies with each other, and each other server with our default there. With
 * one request at a time there is nothing to batch.
 */
export function pairsOfOthers<Of extends Compared>(
  { connections, depth }: Workload,
  row: readonly Of[],
): Pair<Of>[] {
  const isOneAtATime = connections === 1 && depth === 1;
  const usual = defaultOf(row) ?? fastest(row.filter(({ candidate }) => !isPeer(candidate)));
  const strategies = strategyPairs
    .filter(([of]) => of !== 'batched' || !isOneAtATime)
    .map(([of, over]) => pair(strategyOf(row, of), strategyOf(row, over)));
  const peers = row.filter(({ candidate }) => isPeer(candidate)).map((peer) => pair(usual, peer));
  return [...strategies, ...peers].filter((one) => one !== undefined);
}

function pair<Of>(of: Of | undefined, over: Of | undefined): Pair<Of> | undefined {
  return of === undefined || over === undefined ? undefined : { of, over };
}

function defaultOf<Of extends Compared>(row: readonly Of[]): Of | undefined {
  return strategyOf(row, 'batched') ?? strategyOf(row, 'stream');
}

function strategyOf<Of extends Compared>(row: readonly Of[], strategy: Strategy): Of | undefined {
  return row.find(
    ({ candidate }) => candidate.type === 'strategy' && candidate.strategy === strategy,
  );
}

function isPeer(candidate: Candidate): boolean {
  return candidate.type === 'peer';
}

function fastest<Of extends Compared>(row: readonly Of[]): Of | undefined {
  return row.toSorted((a, b) => median(b.speeds.flat()) - median(a.speeds.flat()))[0];
}
