/** The tables of RESULTS.md. */
import { kindLabels, linkLabels } from '../report/labels.js';
import { figure, missing, percent, percentRange, whole } from '../report/numbers.js';
import { amounts, cell, words, type Cell, type Table } from '../report/table.js';
import { kinds, links, strategies, type Kind, type Link, type Workload } from '../results.js';
import type {
  PublishedCandidate,
  PublishedGain,
  PublishedResults,
  PublishedRow,
} from './schema.js';

/** By the name of the file in results/, without its extension. */
export type Published = Readonly<Record<string, PublishedResults>>;

type PublishedTable = Pick<Table, 'columns' | 'rows'>;

const sockets: readonly Link[] = ['unix', 'tcp', 'veth'];
const streams: readonly Link[] = ['unix-tls', 'tcp-tls', 'pipe'];
const peers = ['nbdkit', 'qemu-nbd', 'nbd-server', 'limit'];

function resultsIn(published: Published, name: string): PublishedResults {
  const results = published[name];
  if (results === undefined) throw new Error(`There is no results/${name}.json.`);
  return results;
}

function rowOf(
  { rows }: PublishedResults,
  link: Link,
  kind: Kind,
  depth: number,
): PublishedRow | undefined {
  return rows.find(
    ({ workload }) => workload.link === link && workload.kind === kind && workload.depth === depth,
  );
}

function candidateOf(row: PublishedRow | undefined, name: string): PublishedCandidate | undefined {
  return row?.candidates.find((candidate) => candidate.name === name);
}

function rateCell(row: PublishedRow | undefined, name: string): Cell {
  return cell(figure(candidateOf(row, name)?.averages.requestsPerSecond ?? null));
}

function gainText(gain: PublishedGain | undefined): string {
  if (gain === undefined) return missing;
  const mark = gain.verdict === 'no difference shown' ? '≈ ' : '';
  return `${mark}${percent(gain.average)} (${percentRange(gain.low, gain.high)})`;
}

function gainCell(row: PublishedRow | undefined, of: string, over: string): Cell {
  return cell(gainText(candidateOf(row, of)?.gains[over]));
}

function workloadCells({ link, kind, depth }: Workload): Cell[] {
  return [cell(linkLabels[link]), cell(kindLabels[kind]), cell(whole(depth))];
}

const workloadColumns = [words('Link'), words('Requests'), amounts('In flight')];

/** Requests a second of some candidates, and gains of one over another. */
function compared(
  rows: readonly PublishedRow[],
  names: readonly string[],
  gains: readonly (readonly [of: string, over: string])[],
): PublishedTable {
  return {
    columns: [
      ...workloadColumns,
      ...names.map((name) => amounts(`\`${name}\`, requests/s`)),
      ...gains.map(([of, over]) => amounts(`\`${of}\` over \`${over}\``)),
    ],
    rows: rows.map((row) => [
      ...workloadCells(row.workload),
      ...names.map((name) => rateCell(row, name)),
      ...gains.map(([of, over]) => gainCell(row, of, over)),
    ]),
  };
}

/** A row a link, a column a kind of requests. */
function gainsByKind(
  results: PublishedResults,
  ofLinks: readonly Link[],
  depth: number,
  of: string,
  over: string,
): PublishedTable {
  return {
    columns: [words('Link'), ...kinds.map((kind) => amounts(kindLabels[kind]))],
    rows: ofLinks.map((link) => [
      cell(linkLabels[link]),
      ...kinds.map((kind) => gainCell(rowOf(results, link, kind, depth), of, over)),
    ]),
  };
}

function causes(rows: readonly PublishedRow[]): PublishedTable {
  return {
    columns: [
      ...workloadColumns,
      words('Strategy'),
      amounts('System calls a request'),
      amounts('Segments a reply'),
      amounts('Server CPU, µs a request'),
      amounts('Latency p50, µs'),
      amounts('p99, µs'),
    ],
    rows: rows.flatMap(({ workload, candidates }) =>
      candidates
        .filter(({ name }) => strategies.some((strategy) => strategy === name))
        .map(({ name, averages, latencyMicroseconds }) => [
          ...workloadCells(workload),
          cell(`\`${name}\``),
          cell(figure(averages.systemCallsPerRequest)),
          cell(figure(averages.segmentsPerReply)),
          cell(figure(averages.serverMicrosecondsPerRequest)),
          cell(figure(latencyMicroseconds?.p50 ?? null)),
          cell(figure(latencyMicroseconds?.p99 ?? null)),
        ]),
    ),
  };
}

function otherServers(rows: readonly PublishedRow[]): PublishedTable {
  return {
    columns: [
      ...workloadColumns,
      amounts('nbdcork, requests/s'),
      ...peers.map((peer) => amounts(`over ${peer}`)),
    ],
    rows: rows.map((row) => {
      const ours = candidateOf(row, 'batched') === undefined ? 'stream' : 'batched';
      return [
        ...workloadCells(row.workload),
        rateCell(row, ours),
        ...peers.map((peer) => gainCell(row, ours, peer)),
      ];
    }),
  };
}

/** Nanoseconds by the number of pieces, for all calls that have one. */
function calls({ micro }: PublishedResults): PublishedTable {
  const byPieces = micro.filter(({ pieces }) => pieces !== null);
  const names = [...new Set(byPieces.map(({ name }) => name))];
  const counts = [...new Set(byPieces.map(({ pieces }) => pieces))];
  return {
    columns: [amounts('Pieces'), ...names.map((name) => amounts(`${name}, ns`))],
    rows: counts.map((count) => [
      cell(whole(count)),
      ...names.map((name) => {
        const found = byPieces.find((one) => one.name === name && one.pieces === count);
        const error = whole(found?.nanosecondsError ?? null);
        return cell(`${whole(found?.nanosecondsPerCall ?? null)} ± ${error}`);
      }),
    ]),
  };
}

function runs(published: Published): PublishedTable {
  return {
    columns: [words('Results'), words('Command'), amounts('Runs'), words('Date'), words('Commit')],
    rows: Object.entries(published).map(([name, { command, timing, startedAt, commit }]) => [
      cell(`[${name}](results/${name}.json)`),
      cell(`\`${command}\``),
      cell(timing.rounds === 0 ? missing : whole(timing.rounds)),
      cell(startedAt.slice(0, 10)),
      cell(commit === null ? missing : `\`${commit.slice(0, 7)}\``),
    ]),
  };
}

/** By the name that stands for each in the text. */
export function tablesOf(published: Published): Readonly<Record<string, PublishedTable>> {
  const full = resultsIn(published, 'full');
  const row = (link: Link, kind: Kind, depth: number): PublishedRow[] => {
    const found = rowOf(full, link, kind, depth);
    return found === undefined ? [] : [found];
  };
  const overSends = (['cork', 'more', 'vectored'] as const).map((of) => [of, 'sends'] as const);
  const overPlain = (['cork', 'more', 'vectored'] as const).map((of) => [of, 'plain'] as const);
  const baselines = [
    ['batched', 'stream'],
    ['batched', 'vectored'],
  ] as const;
  return {
    headline: compared(
      sockets.flatMap((link) => kinds.flatMap((kind) => row(link, kind, 64))),
      ['stream', 'vectored', 'batched'],
      baselines,
    ),
    'one-in-flight': gainsByKind(full, sockets, 1, 'vectored', 'stream'),
    streams: gainsByKind(full, streams, 64, 'stream', 'plain'),
    fio: compared(resultsIn(published, 'fio').rows, ['stream', 'vectored', 'batched'], baselines),
    corking: compared(resultsIn(published, 'sends').rows, ['sends'], overSends),
    cubic: compared(resultsIn(published, 'cubic').rows, ['plain'], overPlain),
    causes: causes([...row('tcp', 'read-4k', 64), ...row('veth', 'read-4k', 1)]),
    servers: otherServers(
      (['read-4k', 'read-64k'] as const).flatMap((kind) =>
        links
          .filter((link) => link !== 'pipe' && link !== 'veth')
          .flatMap((link) => [...row(link, kind, 64), ...row(link, kind, 1)]),
      ),
    ),
    calls: calls(resultsIn(published, 'micro')),
    runs: runs(published),
  };
}
