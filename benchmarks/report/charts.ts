/** Which pictures are drawn of a run. */
import { kinds, strategies, type Figure, type Results, type Trial } from '../results.js';
import { candidateLabel, linkLabels, settingLabel } from './labels.js';
import { latencyPicture } from './latency-chart.js';
import { microPictures } from './micro-charts.js';
import { outliersOf } from '../statistics/statistics.js';
import type { Album, LinkPictures, Picture, Point, Series, Setting } from './pictures.js';
import { defaultOf, peersOf, rowsOf, type Row } from './summary.js';

type Measure = (trial: Trial) => Point | null;

function isOurs({ candidate }: Trial): boolean {
  return candidate.type === 'strategy';
}

/** The average, between the lowest and the highest of the runs that count: outliers do in neither. */
function spreadOf(figure: Figure): Measure {
  return ({ samples, averages }) => {
    const value = averages[figure];
    if (value === null || !Number.isFinite(value)) return null;
    const outliers = outliersOf(samples.map(({ requestsPerSecond }) => requestsPerSecond));
    const values = samples
      .filter((_, index) => outliers[index] !== true)
      .map((sample) => sample[figure])
      .filter((one) => one !== null);
    return { value, low: Math.min(...values), high: Math.max(...values) };
  };
}

/** A longer error bar of a ratio is cut. */
const errorFactorMax = 10;

const rate = spreadOf('requestsPerSecond');

function gain(trial: Trial): Point | null {
  if (trial.gain === null) return null;
  const { average, low, high } = trial.gain;
  const value = 1 + average;
  if (!Number.isFinite(value) || value <= 0) return null;
  return {
    value,
    low: Math.max(1 + low, value / errorFactorMax),
    high: Math.min(1 + high, value * errorFactorMax),
  };
}

/** Strategies in their order, then peers as they come. */
function namesIn(rows: readonly Row[]): string[] {
  const names = new Set(rows.flatMap(({ trials }) => trials.map(byName)));
  const ours = strategies.filter((strategy) => names.delete(strategy));
  return [...ours, ...names];
}

function byName({ candidate }: Trial): string {
  return candidateLabel(candidate);
}

/** A category for each row, a series for each candidate; empty ones are omitted. */
function compared(
  rows: readonly Row[],
  measure: Measure,
  categoryOf: (row: Row) => string,
  wanted: (trial: Trial, row: Row) => boolean = isOurs,
): { categories: string[]; series: Series[] } {
  const points = (row: Row) =>
    new Map(
      row.trials
        .filter((trial) => wanted(trial, row))
        .map((trial) => [byName(trial), measure(trial)]),
    );
  const measured = rows
    .map((row) => ({ row, byCandidate: points(row) }))
    .filter(({ byCandidate }) => [...byCandidate.values()].some((point) => point !== null));
  const series = namesIn(rows).map((name) => ({
    name,
    points: measured.map(({ byCandidate }) => byCandidate.get(name) ?? null),
  }));
  return {
    categories: measured.map(({ row }) => categoryOf(row)),
    series: series.filter(({ points }) => points.some((point) => point !== null)),
  };
}

function linkOf({ workload }: Row): string {
  return linkLabels[workload.link];
}

const withoutOutliers = 'Both without outliers, runs that are far slower than the others.';

/** What the pictures of a setting have in common. */
function linksSideBySide([row]: readonly Row[]) {
  return {
    context: row === undefined ? '' : settingLabel(row.workload),
    note: `Bars: average. Error bars: lowest and highest run. ${withoutOutliers}`,
    form: 'bars',
    valueScale: 'linear',
    categoryTitle: 'link',
  } as const;
}

function settingPictures(rows: readonly Row[]): Picture[] {
  const bars = linksSideBySide(rows);
  const count = (id: string, title: string, valueTitle: string, figure: Figure) => ({
    ...{ ...bars, id, title, valueTitle },
    ...compared(rows, spreadOf(figure), linkOf),
  });
  const pictures: Picture[] = [
    {
      ...{ ...bars, id: 'rates', title: 'Requests a second', valueTitle: 'requests a second' },
      note: `${bars.note} The axis is logarithmic.`,
      valueScale: 'logarithmic',
      ...compared(rows, rate, linkOf),
    },
    {
      ...{ ...bars, id: 'gains', title: 'Gain over plain', valueTitle: 'times plain' },
      note: 'Bars: requests a second for each one of plain, on average. Error bars: its 99 % confidence interval. The axis is logarithmic: twice as fast is as far from plain as half as fast.',
      valueScale: 'ratio',
      ...compared(rows, gain, linkOf),
    },
    count('segments', 'TCP segments a reply', 'segments a reply', 'segmentsPerReply'),
    count(
      'system-calls',
      'System calls a request',
      'system calls a request',
      'systemCallsPerRequest',
    ),
    count('processor', 'Server CPU time a request', 'µs a request', 'serverMicrosecondsPerRequest'),
    {
      ...{ ...bars, id: 'peers', title: 'Against other servers', valueTitle: 'requests a second' },
      ...compared(
        rows.filter((row) => peersOf(row).length > 0),
        rate,
        linkOf,
        (trial, row) => !isOurs(trial) || trial === defaultOf(row),
      ),
    },
  ];
  return pictures.filter(({ series }) => series.length > 0);
}

/** How requests a second grow with one dimension of the workload, all else being equal. */
function scalingPicture(row: Row, rows: readonly Row[], by: 'depth' | 'connections'): Picture {
  const contextOf = (one: Row) => `${linkOf(one)}, ${settingLabel(one.workload, by)}`;
  const context = contextOf(row);
  const alike = rows.filter((one) => contextOf(one) === context);
  return {
    id: `by-${by}`,
    title: `Requests a second by ${by}`,
    context,
    note: `Lines: average. Error bars: lowest and highest run. ${withoutOutliers}`,
    form: 'lines',
    valueTitle: 'requests a second',
    valueScale: 'linear',
    categoryTitle: by === 'depth' ? 'requests in flight on a connection' : 'connections',
    ...compared(
      alike,
      rate,
      ({ workload }) => String(workload[by]),
      () => true,
    ),
  };
}

function linkPictures(row: Row, rows: readonly Row[], results: Results): LinkPictures {
  const scaling = (['depth', 'connections'] as const)
    .map((by) => scalingPicture(row, rows, by))
    .filter(({ categories }) => categories.length > 1);
  const latency = latencyPicture(row, results.latencyPercentiles);
  return {
    label: linkOf(row),
    pictures: [...(latency.series.length > 0 ? [latency] : []), ...scaling],
  };
}

/** The setting that most was measured in; of equals the deepest, with the fewest connections. */
function mostMeasured(groups: readonly (readonly Row[])[]): number {
  const measured = (rows: readonly Row[]) => rows.reduce((sum, row) => sum + row.trials.length, 0);
  const [first] = groups.toSorted((a, b) => {
    const [one, other] = [a[0]?.workload, b[0]?.workload];
    if (one === undefined || other === undefined) return 0;
    return (
      measured(b) - measured(a) ||
      kinds.indexOf(one.kind) - kinds.indexOf(other.kind) ||
      other.depth - one.depth ||
      one.connections - other.connections
    );
  });
  return first === undefined ? 0 : groups.indexOf(first);
}

export function albumOf(results: Results): Album {
  const rows = rowsOf(results);
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const label = settingLabel(row.workload);
    groups.set(label, [...(groups.get(label) ?? []), row]);
  }
  const settings = [...groups].map(([label, alike]): Setting => ({
    label,
    pictures: settingPictures(alike),
    links: alike.map((row) => linkPictures(row, rows, results)),
  }));
  const opened = mostMeasured([...groups.values()]);
  return { settings, opened, pictures: microPictures(results.micro) };
}
