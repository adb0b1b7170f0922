/** Cells that several tables have in common. */
import type { Gain } from '../results.js';
import { headersLabels, kindLabels, linkLabels } from './labels.js';
import { percent, percentRange, whole } from './numbers.js';
import type { Row } from './summary.js';
import { amounts, cell, words, type Cell, type Column } from './table.js';

/** The columns of the workload; the load generator only where it differs. */
export function workloadColumns(rows: readonly Pick<Row, 'workload'>[]) {
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

export function gainLines(gain: Gain): string[] {
  return [
    percent(gain.average),
    percentRange(gain.low, gain.high),
    `runs ${percentRange(gain.worst, gain.best)}`,
    gain.verdict,
  ];
}
