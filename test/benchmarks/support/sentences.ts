/** What RESULTS.md counts, as it has to say it. */
import type { Results, Trial, Verdict } from '../../../benchmarks/results.js';
import {
  counted,
  full,
  links,
  resultsIn,
  selfCheck,
  usualRuns,
  verdictsOf,
  withServers,
} from './published.js';

/** What is said of each gain and comparison, by what it is about. */
function verdictsIn({ trials, comparisons }: Results): Map<string, Verdict> {
  return new Map([
    ...trials.flatMap(({ workload, contender, gain }) =>
      gain === null ? [] : [[JSON.stringify([workload, contender]), gain.verdict] as const],
    ),
    ...comparisons.map(
      ({ workload, of, over, gain }) =>
        [JSON.stringify([workload, of, over]), gain.verdict] as const,
    ),
  ]);
}

function sumOf(trials: readonly Trial[], amount: (trial: Trial) => number): string {
  return trials.reduce((sum, trial) => sum + amount(trial), 0).toLocaleString('en');
}

function sameVerdicts(): string {
  const told = usualRuns.map((name) => verdictsIn(resultsIn(name)));
  const same = (one: number, other: number): number =>
    [...(told[one] ?? [])].filter(([about, verdict]) => told[other]?.get(about) === verdict).length;
  return `of ${told[0]?.size ?? 0} verdicts, on gains over plain and on one against the other, ${same(0, 1)} are the same in the first and the second, ${same(0, 2)} in the first and the third, ${same(1, 2)} in the second and the third`;
}

/** Gains in two of the usual runs whose intervals have nothing in common. */
function farApart(): string {
  const gains = usualRuns.map((name) => {
    const { trials, comparisons } = resultsIn(name);
    return [...trials, ...comparisons].flatMap(({ gain }) => (gain === null ? [] : [gain]));
  });
  const pairs = [[0, 1] as const, [0, 2] as const, [1, 2] as const].flatMap(([one, other]) =>
    (gains[one] ?? []).map((gain, index) => [gain, gains[other]?.[index]] as const),
  );
  const apart = pairs.filter(
    ([gain, other]) => other === undefined || gain.high < other.low || other.high < gain.low,
  );
  return `all but ${apart.length} of ${pairs.length} pairs of intervals meet`;
}

function mishaps(): string {
  const { trials } = full;
  const odd = sumOf(trials, ({ averages }) => averages.mishaps);
  const runs = sumOf(trials, ({ samples }) => samples.length);
  return `${odd} of ${runs} runs of the first command`;
}

function servers(): string {
  const verdicts = withServers().map(({ gain }) => gain.verdict);
  const { faster, slower, 'no difference shown': neither } = counted(verdicts);
  return `Of ${verdicts.length} comparisons with them nbdcork is faster in ${faster} and slower in ${slower}; in ${neither} no difference was shown.`;
}

function checked(): string {
  const { verdicts } = selfCheck;
  const right = (name: string, verdict: Verdict): number =>
    verdicts.filter((one) => one[name] === verdict).length;
  const [copies, slowed] = [right('copy', 'no difference shown'), right('slowed', 'slower')];
  return `two copies of the same are "no difference shown" in ${copies} of ${verdicts.length}, and one that is slowed down on purpose is "slower" in ${slowed} of ${verdicts.length}`;
}

const later = resultsIn(usualRuns[0]);

/** Each of them is in the text. */
export const sentences: readonly string[] = [
  sameVerdicts(),
  farApart(),
  mishaps(),
  servers(),
  checked(),
  `commit \`${(full.commit ?? '').slice(0, 7)}\``,
  `on ${full.startedAt.slice(0, 10)}`,
  `commit \`${(later.commit ?? '').slice(0, 7)}\``,
  `on ${later.startedAt.slice(0, 10)}`,
];

const pairs = [
  ...['cork', 'more', 'vectored', 'batched', 'stream'].map((of) => [of, 'plain'] as const),
  ...[['more', 'cork'] as const, ['vectored', 'cork'] as const, ['vectored', 'more'] as const],
  ...[['batched', 'vectored'] as const, ['batched', 'stream'] as const],
];

/** In how many settings one is faster, slower, or neither: a row a pair, a column a link. */
export const tallies: readonly (readonly string[])[] = pairs.map(([of, over]) => [
  `${of} over ${over}`,
  ...Object.values(links).map((link) => {
    const verdicts = verdictsOf(of, over, link);
    if (verdicts.length === 0) return '–';
    const { faster, slower, 'no difference shown': neither } = counted(verdicts);
    return `${faster} / ${slower} / ${neither}`;
  }),
]);
