/** What RESULTS.md counts, as it has to say it. */
import assert from 'node:assert/strict';
import type { Gain, Results, Trial, Verdict } from '../../../benchmarks/results.js';
import {
  counted,
  full,
  links,
  micro,
  percent,
  resultsIn,
  selfCheck,
  usualRuns,
  verdictsOf,
  withServers,
} from './published.js';

/** Each gain and comparison, by what it is about. */
function gainsIn({ trials, comparisons }: Results): Map<string, Gain> {
  return new Map([
    ...trials.flatMap(({ workload, contender, gain }) =>
      gain === null ? [] : [[JSON.stringify([workload, contender]), gain] as const],
    ),
    ...comparisons.map(
      ({ workload, of, over, gain }) => [JSON.stringify([workload, of, over]), gain] as const,
    ),
  ]);
}

function verdictsIn(name: string): Map<string, Verdict> {
  const gains = gainsIn(resultsIn(name));
  return new Map([...gains].map(([about, { verdict }]) => [about, verdict]));
}

function sumOf(trials: readonly Trial[], amount: (trial: Trial) => number): string {
  return trials.reduce((sum, trial) => sum + amount(trial), 0).toLocaleString('en');
}

function sameVerdicts(): string {
  const [first, ...others] = usualRuns.map(verdictsIn);
  assert.ok(first !== undefined && first.size > 0);
  const all = verdictsIn('full.json');
  const same = [...first].filter(([about, verdict]) =>
    others.every((other) => other.get(about) === verdict),
  );
  const everywhere = same.filter(([about, verdict]) => all.get(about) === verdict);
  return `of ${first.size} verdicts, on gains over plain and on one against the other, ${same.length} are the same in all three, and ${everywhere.length} in the full run as well`;
}

/** Gains in two of the usual runs whose intervals have nothing in common. */
function farApart(): string[] {
  const gains = usualRuns.map((name) => gainsIn(resultsIn(name)));
  const pairs = gains.flatMap((one, index) =>
    gains.slice(index + 1).flatMap((other) =>
      [...one].flatMap(([about, gain]) => {
        const again = other.get(about);
        return again === undefined ? [] : [[gain, again] as const];
      }),
    ),
  );
  const apart = pairs.filter(([gain, again]) => gain.high < again.low || again.high < gain.low);
  return [
    `all but ${apart.length} of ${pairs.length} pairs of intervals meet`,
    ...apart.map(([gain, again]) => `${percent(gain.average)} and ${percent(again.average)}`),
  ];
}

function howLong(): string {
  const seconds = usualRuns.map((name) => Math.round(resultsIn(name).seconds));
  return `${Math.min(...seconds)} to ${Math.max(...seconds)} s`;
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

/** Each of them is in the text. */
export const sentences: readonly string[] = [
  sameVerdicts(),
  ...farApart(),
  howLong(),
  mishaps(),
  servers(),
  checked(),
  `commit \`${(full.commit ?? '').slice(0, 7)}\``,
  `on ${full.startedAt.slice(0, 10)}`,
  `commit \`${(micro.commit ?? '').slice(0, 7)}\``,
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
