/** Who is compared with whom besides `plain`, in the same workload. */
import type { Comparison, Contender, Strategy, Trial } from './results.js';
import { gainOver } from './statistics.js';

const pairs: readonly (readonly [Strategy, Strategy])[] = [
  ['cork', 'sends'],
  ['more', 'sends'],
  ['more', 'cork'],
  ['vectored', 'cork'],
  ['vectored', 'more'],
  ['batched', 'vectored'],
  ['batched', 'stream'],
];

/**
 * Of the trials of one workload: pairs of strategies, and each peer with our
 * default there. With one request at a time there is nothing to batch.
 */
export function comparisonsOf(trials: readonly Trial[]): Comparison[] {
  const ours = new Map(
    trials.flatMap((trial) =>
      trial.contender.type === 'strategy' ? [[trial.contender.strategy, trial] as const] : [],
    ),
  );
  const usual = ours.get('batched') ?? ours.get('stream') ?? fastest([...ours.values()]);
  const peers = trials.filter(({ contender }) => contender.type === 'peer');
  return [
    ...pairs
      .filter(([of]) => of !== 'batched' || !isOneAtATime(trials))
      .map(([of, over]) => compare(ours.get(of), ours.get(over))),
    ...peers.map((peer) => compare(usual, peer)),
  ].filter((comparison) => comparison !== undefined);
}

function isOneAtATime([first]: readonly Trial[]): boolean {
  return first?.workload.depth === 1 && first.workload.connections === 1;
}

/** A peer has no gain over `plain` where it is compared with our default. */
export function hasDefault(contenders: readonly Contender[]): boolean {
  return contenders.some(
    (one) => one.type === 'strategy' && (one.strategy === 'batched' || one.strategy === 'stream'),
  );
}

function compare(of: Trial | undefined, over: Trial | undefined): Comparison | undefined {
  if (of === undefined || over === undefined) return undefined;
  const gain = gainOver(speeds(over), speeds(of));
  if (gain === null) return undefined;
  return { workload: of.workload, of: name(of.contender), over: name(over.contender), gain };
}

function fastest(trials: readonly Trial[]): Trial | undefined {
  const rate = ({ averages }: Trial): number => averages.requestsPerSecond ?? 0;
  return trials.toSorted((a, b) => rate(b) - rate(a))[0];
}

function speeds({ samples }: Trial): number[] {
  return samples.map(({ requestsPerSecond }) => requestsPerSecond);
}

function name(contender: Contender): string {
  return contender.type === 'strategy' ? contender.strategy : contender.name;
}
