/** The tables that compare: with other servers, and strategies with one another. */
import type { Gain, Results } from '../results.js';
import { figure, ratio } from './numbers.js';
import { gainLines, workloadColumns } from './row-cells.js';
import { compareWorkloads, defaultOf, gainOverPeer, peersOf, rowsOf } from './summary.js';
import { amounts, cell, nothing, words, type Cell, type Table } from './table.js';

/** Null if no other server was measured. */
export function peersTable(results: Results): Table | null {
  const rows = rowsOf(results).filter((row) => peersOf(row).length > 0);
  if (rows.length === 0) return null;
  const { columns, cellsOf } = workloadColumns(rows);
  return {
    id: 'peers',
    title: 'Against other servers',
    notes: [
      'The same load against other servers in the same run. The ratio is their requests a second for each one of ours, batched, or stream where there is no socket: below 1, ours is faster. Like the gains it is of runs of the same round, with its 99 % confidence interval.',
    ],
    columns: [
      ...columns,
      words('server'),
      words('version'),
      amounts('requests a second'),
      amounts('ratio to nbdcork'),
      amounts('server CPU, µs a request'),
    ],
    headings: columns.length + 1,
    rows: rows.flatMap((row) =>
      row.trials
        .filter((trial) => trial.candidate.type === 'peer' || trial === defaultOf(row))
        .map((trial) => {
          const { candidate } = trial;
          const { averages } = trial;
          const peer = candidate.type === 'peer';
          return [
            ...cellsOf(row),
            cell(peer ? candidate.name : `nbdcork, ${candidate.strategy}`),
            cell(peer ? candidate.version : results.version),
            cell(figure(averages.requestsPerSecond)),
            peer ? ratioCell(gainOverPeer(results, row, trial)) : cell(ratio(1)),
            cell(figure(averages.serverMicrosecondsPerRequest)),
          ];
        }),
    ),
  };
}

/** Their rate relative to ours: the inverse of our gain. */
function ratioCell(gain: Gain | undefined): Cell {
  if (gain === undefined) return nothing;
  const [theirs, low, high] = [gain.average, gain.high, gain.low].map((one) =>
    ratio(1 / (1 + one)),
  );
  const doubt = gain.verdict === 'no difference shown' ? [gain.verdict] : [];
  return cell(`${theirs}`, `${low} to ${high}`, ...doubt);
}

/** Null where no two that belong together were measured. */
export function comparisonsTable({ comparisons }: Results): Table | null {
  if (comparisons.length === 0) return null;
  const { columns, cellsOf } = workloadColumns(comparisons);
  return {
    id: 'comparisons',
    title: 'One against the other',
    notes: [
      'The gain of the one in requests a second over the other in the same workload, as above over plain. Other servers are compared with what we serve with by default, or the fastest of ours where that was not measured.',
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
