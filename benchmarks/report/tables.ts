/** The tables of a report: what was measured, and what explains it. */
import { links, strategies, type Gain, type Results, type Strategy } from '../results.js';
import {
  contenderLabel,
  headersLabels,
  kindLabels,
  linkLabels,
  strategyMeanings,
} from './labels.js';
import { machineTable } from './machine.js';
import { figure, missing, percent, percentRange, ratio, whole } from './numbers.js';
import {
  againstBatched,
  compareWorkloads,
  peersOf,
  rowsOf,
  tallyOf,
  trialOf,
  verdictNames,
  type Row,
  type Tally,
} from './summary.js';
import { amounts, cell, nothing, words, type Cell, type Column, type Table } from './table.js';

/** Which strategies were taken, in their order. */
function taken(rows: readonly Row[]): Strategy[] {
  return strategies.filter((strategy) => rows.some((row) => trialOf(row, strategy) !== undefined));
}

/** The columns that say what a row is about; who sent the load only where not all had the same. */
function workloadColumns(rows: readonly Pick<Row, 'workload'>[]) {
  const loads = new Set(rows.map(({ workload }) => workload.load));
  const columns: Column[] = [
    words('link'),
    words('requests'),
    amounts('connections'),
    amounts('depth'),
    words('headers'),
    ...(loads.size > 1 ? [words('load')] : []),
  ];
  const cellsOf = ({ workload }: Pick<Row, 'workload'>): Cell[] => [
    cell(linkLabels[workload.link]),
    cell(kindLabels[workload.kind]),
    cell(whole(workload.connections)),
    cell(whole(workload.depth)),
    cell(headersLabels[workload.headers]),
    ...(loads.size > 1 ? [cell(workload.load)] : []),
  ];
  return { columns, cellsOf };
}

function tallyCell(tally: Tally | null): Cell {
  if (tally === null) return nothing;
  const { verdicts, workloads, medianGain } = tally;
  const lines = [
    percent(medianGain),
    `faster in ${verdicts.faster} of ${workloads}`,
    `slower in ${verdicts.slower} of ${workloads}`,
  ];
  const unanimous = verdictNames.find((verdict) => verdicts[verdict] === workloads);
  return unanimous === undefined ? { lines } : { lines, verdict: unanimous };
}

/** Which way of sending wins where, in one look. */
function verdictsTable(results: Results): Table {
  const rows = rowsOf(results);
  const compared = taken(rows).filter((strategy) => strategy !== 'plain');
  const measured = links.filter((link) => rows.some(({ workload }) => workload.link === link));
  return {
    id: 'verdicts',
    title: 'In short',
    notes: [
      'The median of the gains over plain of all workloads on a link, and in how many of them the strategy was faster or slower. Where neither, no difference was shown.',
    ],
    columns: [
      words('strategy'),
      words('how it sends'),
      ...measured.map((link) => amounts(linkLabels[link])),
    ],
    headings: 1,
    rows: compared.map((strategy) => [
      cell(strategy),
      cell(strategyMeanings[strategy]),
      ...measured.map((link) => tallyCell(tallyOf(rows, strategy, link))),
    ]),
  };
}

function gainLines(gain: Gain): string[] {
  return [
    percent(gain.average),
    percentRange(gain.low, gain.high),
    `runs ${percentRange(gain.worst, gain.best)}`,
    gain.verdict,
  ];
}

/** The table that the thread asked for. */
function throughputTable(results: Results): Table {
  const rows = rowsOf(results);
  const shown = taken(rows);
  const { columns, cellsOf } = workloadColumns(rows);
  return {
    id: 'throughput',
    title: 'Requests a second',
    notes: [
      'Requests a second, the average of all runs. Below it the gain over plain in the same workload: its average, the 95 % confidence interval of that, the worst and the best of the runs, and the verdict.',
    ],
    columns: [...columns, ...shown.map((strategy) => amounts(strategy))],
    headings: columns.length,
    rows: rows
      .filter((row) => shown.some((strategy) => trialOf(row, strategy) !== undefined))
      .map((row) => [
        ...cellsOf(row),
        ...shown.map((strategy): Cell => {
          const trial = trialOf(row, strategy);
          if (trial === undefined) return nothing;
          const rate = figure(trial.averages.requestsPerSecond);
          if (trial.gain === null) return cell(rate);
          return { lines: [rate, ...gainLines(trial.gain)], verdict: trial.gain.verdict };
        }),
      ]),
  };
}

function causesTable(results: Results): Table {
  const rows = rowsOf(results);
  const { columns, cellsOf } = workloadColumns(rows);
  return {
    id: 'causes',
    title: 'What causes it',
    notes: [
      'Averages of all runs. System calls and TCP segments are counted at the server while it is measured; segments are those of TCP_INFO. CPU time is user and system time of the process. Latency runs from sending a request to having its reply, in microseconds, all runs together.',
      `A dash (${missing}) stands for what cannot be counted there.`,
    ],
    columns: [
      ...columns,
      words('contender'),
      amounts('system calls a request'),
      amounts('segments a reply'),
      amounts('bytes a segment'),
      amounts('server CPU, µs a request'),
      amounts('client CPU, µs a request'),
      amounts('latency p50, µs'),
      amounts('latency p99, µs'),
      amounts('latency p99.9, µs'),
    ],
    headings: columns.length + 1,
    rows: rows.flatMap((row) =>
      row.trials.map((trial) => {
        const { averages } = trial;
        const latency = trial.latencyMicroseconds;
        return [
          ...cellsOf(row),
          cell(contenderLabel(trial.contender)),
          cell(figure(averages.systemCallsPerRequest)),
          cell(figure(averages.segmentsPerReply)),
          cell(whole(averages.bytesPerSegment)),
          cell(figure(averages.serverMicrosecondsPerRequest)),
          cell(figure(averages.clientMicrosecondsPerRequest)),
          cell(figure(latency?.p50 ?? null)),
          cell(figure(latency?.p99 ?? null)),
          cell(figure(latency?.p999 ?? null)),
        ];
      }),
    ),
  };
}

/** Null where nobody else was measured. */
function peersTable(results: Results): Table | null {
  const rows = rowsOf(results).filter((row) => peersOf(row).length > 0);
  if (rows.length === 0) return null;
  const { columns, cellsOf } = workloadColumns(rows);
  return {
    id: 'peers',
    title: 'Against other servers',
    notes: [
      'The same load against other servers in the same run. The ratio is their requests a second for each one of our batched strategy: below 1, ours is faster.',
    ],
    columns: [
      ...columns,
      words('server'),
      words('version'),
      amounts('requests a second'),
      amounts('ratio to batched'),
      amounts('server CPU, µs a request'),
    ],
    headings: columns.length + 1,
    rows: rows.flatMap((row) =>
      row.trials
        .filter(({ contender }) => contender.type === 'peer' || contender.strategy === 'batched')
        .map((trial) => {
          const { contender } = trial;
          const { averages } = trial;
          const theirs = againstBatched(row, trial);
          const peer = contender.type === 'peer';
          return [
            ...cellsOf(row),
            cell(peer ? contender.name : `nbdcork, ${contender.strategy}`),
            cell(peer ? contender.version : results.version),
            cell(figure(averages.requestsPerSecond)),
            cell(theirs === null ? missing : ratio(theirs)),
            cell(figure(averages.serverMicrosecondsPerRequest)),
          ];
        }),
    ),
  };
}

/** Null where no two that belong together were measured. */
function comparisonsTable({ comparisons }: Results): Table | null {
  if (comparisons.length === 0) return null;
  const { columns, cellsOf } = workloadColumns(comparisons);
  return {
    id: 'comparisons',
    title: 'One against the other',
    notes: [
      'The gain of the one in requests a second over the other in the same workload, as above over plain. Other servers are compared with our batched strategy, or the fastest of ours where that was not measured.',
    ],
    columns: [...columns, words('of'), words('over'), amounts('gain')],
    headings: columns.length + 2,
    rows: comparisons
      .toSorted((a, b) => compareWorkloads(a.workload, b.workload))
      .map((comparison) => [
        ...cellsOf(comparison),
        cell(comparison.of),
        cell(comparison.over),
        { lines: gainLines(comparison.gain), verdict: comparison.gain.verdict },
      ]),
  };
}

function microTable({ micro }: Results): Table | null {
  if (micro.length === 0) return null;
  return {
    id: 'micro',
    title: 'Calls and codecs alone',
    notes: [
      'Nanoseconds a call, measured alone, with half of the 95 % confidence interval behind ±.',
    ],
    columns: [words('call'), amounts('pieces'), amounts('ns a call'), amounts('±')],
    headings: 2,
    rows: micro.map((trial) => [
      cell(trial.name),
      cell(whole(trial.pieces)),
      cell(figure(trial.nanosecondsPerCall)),
      cell(figure(trial.nanosecondsError)),
    ]),
  };
}

function skippedTable({ skipped }: Results): Table | null {
  if (skipped.length === 0) return null;
  return {
    id: 'skipped',
    title: 'Not measured here',
    notes: [],
    columns: [words('what'), words('why')],
    headings: 1,
    rows: skipped.map(({ what, why }) => [cell(what), cell(why)]),
  };
}

/** All tables of a report, in the order in which they are read. */
export function tablesOf(results: Results): Table[] {
  return [
    verdictsTable(results),
    throughputTable(results),
    causesTable(results),
    comparisonsTable(results),
    peersTable(results),
    microTable(results),
    skippedTable(results),
    machineTable(results),
  ].filter((table) => table !== null);
}
