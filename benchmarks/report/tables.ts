/** The tables of a report: what was measured, and what explains it. */
import { links, strategies, type Results, type Strategy } from '../results.js';
import { comparisonsTable, peersTable } from './comparison-tables.js';
import { candidateLabel, linkLabels, strategyMeanings } from './labels.js';
import { machineTable } from './machine.js';
import { gainNote, outlierNote } from './notes.js';
import { figure, missing, percent, whole } from './numbers.js';
import { gainLines, workloadColumns } from './row-cells.js';
import { rowsOf, tallyOf, trialOf, verdictNames, type Row, type Tally } from './summary.js';
import { amounts, cell, nothing, words, type Cell, type Table } from './table.js';

/** The strategies that were measured, in their order. */
function taken(rows: readonly Row[]): Strategy[] {
  return strategies.filter((strategy) => rows.some((row) => trialOf(row, strategy) !== undefined));
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

/** Summary by strategy and link. */
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

/** Requests a second, and gains over `plain`. */
function throughputTable(results: Results): Table {
  const rows = rowsOf(results);
  const shown = taken(rows);
  const { columns, cellsOf } = workloadColumns(rows);
  return {
    id: 'throughput',
    title: 'Requests a second',
    notes: [
      'Requests a second, on average. Below it the gain over plain in the same workload, which is no quotient of these averages: its average, the 99 % confidence interval of that, the worst and the best of the runs, and the verdict.',
      gainNote,
      outlierNote,
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
      'Averages. System calls and TCP segments are counted at the server while it is measured: reads, sends and options of sockets, but not waiting for events; segments are those of TCP_INFO. CPU time is user and system time of the process. Latency runs from sending a request to having its reply, in microseconds, all runs together.',
      `A dash (${missing}) stands for what cannot be counted there.`,
    ],
    columns: [
      ...columns,
      words('candidate'),
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
          cell(candidateLabel(trial.candidate)),
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
