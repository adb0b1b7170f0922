/** Where and how a report was made, as a table. */
import type { Results } from '../results.js';
import { duration, gibibytes, whole } from './numbers.js';
import { cell, words, type Table } from './table.js';

export function machineTable(results: Results): Table {
  const { machine, version, commit, command, startedAt, seconds } = results;
  const facts: [string, string][] = [
    ['nbdcork', commit === null ? version : `${version}, commit ${commit}`],
    ['command', command],
    ['started', startedAt],
    ['took', duration(seconds)],
    ['processor', machine.processor],
    ['cores', whole(machine.cores)],
    ['memory', gibibytes(machine.memoryBytes)],
    ['kernel', machine.kernel],
    ['Node', machine.node],
  ];
  return {
    id: 'machine',
    title: 'Machine and run',
    notes: [],
    columns: [words(''), words('')],
    headings: 1,
    rows: facts.map(([name, value]) => [cell(name), cell(value)]),
  };
}
