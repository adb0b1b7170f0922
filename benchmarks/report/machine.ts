/** Where and how a report was made, as a table. */
import type { Results } from '../results.js';
import { duration, figure, gibibytes, missing, whole } from './numbers.js';
import { cell, words, type Table } from './table.js';

function runsOf({ trials }: Results): string {
  const counts = [...new Set(trials.map(({ samples }) => samples.length))];
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
  if (counts.length === 0) return missing;
  return fewest === most ? whole(most) : `${whole(fewest)} to ${whole(most)}`;
}

/** How many runs of all are left out of averages. */
function outliersOf({ trials }: Results): Fact {
  const left = trials.reduce((sum, { averages }) => sum + averages.outliers, 0);
  const all = trials.reduce((sum, { samples }) => sum + samples.length, 0);
  return ['runs left out as outliers', `${whole(left)} of ${whole(all)}`];
}

type Fact = [string, string];

function processorsOf({ processors }: Results): Fact[] {
  if (processors === null)
    return [['our servers and the load generator run', 'where the kernel puts them']];
  return [
    ['our servers run on', `processor ${processors.servers.join(', ')}`],
    ['the load generator runs on', `processor ${processors.load}`],
  ];
}

export function machineTable(results: Results): Table {
  const { machine, version, commit, command, startedAt, seconds } = results;
  const facts: Fact[] = [
    ['nbdcork', commit === null ? version : `${version}, commit ${commit}`],
    ['command', command],
    ['started', startedAt],
    ['took', duration(seconds)],
    ['runs of a trial', runsOf(results)],
    outliersOf(results),
    [
      'a run',
      `${figure(results.timing.seconds)} s; ours after ${figure(results.timing.warmUpSeconds)} s to warm up, by TLS, by pipes and with one request at a time twice as long`,
    ],
    ...(results.interrupted ? [['interrupted', 'stopped before all runs were done'] as Fact] : []),
    ['processor', machine.processor],
    ['cores', whole(machine.cores)],
    ...processorsOf(results),
    ['memory', gibibytes(machine.memoryBytes)],
    ['kernel', machine.kernel],
    ['Node', machine.node],
    ['OpenSSL', machine.openssl],
    ...(machine.fio === null ? [] : [['fio', machine.fio] as Fact]),
  ];
  return {
    id: 'machine',
    title: 'Machine and run',
    notes: [],
    columns: [words('what'), words('value')],
    headings: 1,
    rows: facts.map(([name, value]) => [cell(name), cell(value)]),
  };
}
