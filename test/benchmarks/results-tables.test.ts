/** The tables of RESULTS.md say, cell by cell, what was measured of that link, kind and strategy. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  strategies,
  type Kind,
  type Link,
  type Results,
  type Sample,
  type Trial,
} from '../../benchmarks/results.js';
import { usualHeaders } from '../../benchmarks/workloads.js';

const folder = fileURLToPath(new URL('../../../benchmarks/', import.meta.url));
const text = readFileSync(join(folder, 'RESULTS.md'), 'utf8');
const full = resultsIn('full.json');
/** What it has of causes is told in place of the other's, which was disturbed. */
const usual = resultsIn('default.json');

function resultsIn(name: string): Results {
  return JSON.parse(readFileSync(join(folder, 'results', name), 'utf8')) as Results;
}

const links: Readonly<Record<string, Link>> = {
  Unix: 'unix',
  'Unix, TLS': 'unix-tls',
  TCP: 'tcp',
  'TCP, TLS': 'tcp-tls',
  pipes: 'pipe',
  'TCP, veth': 'veth',
};
const kinds: Readonly<Record<string, Kind>> = {
  '4 KiB reads': 'read-4k',
  '64 KiB reads': 'read-64k',
  'half 4 KiB writes': 'mixed-4k',
  BLOCK_STATUS: 'extents',
  '512-byte reads': 'read-512',
};

/** The rows of the table behind a line, without its head. */
function rowsBehind(line: string): string[][] {
  const [, rest] = text.split(`\n${line}\n\n`);
  assert.ok(rest !== undefined, line);
  const [table = ''] = rest.split('\n\n');
  const rows = table.trim().split('\n');
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((one) => one.trim()),
  );
}

interface Asked {
  readonly link: Link | undefined;
  readonly kind: Kind | undefined;
  readonly depth: number;
  readonly connections: number;
}

function find(asked: Asked, name: string, { trials } = full): Trial | undefined {
  const { link, kind, depth, connections } = asked;
  assert.ok(link !== undefined && kind !== undefined, 'a row of a link and a kind that there is');
  return trials.find(
    ({ workload, contender }) =>
      workload.link === link &&
      workload.kind === kind &&
      workload.depth === depth &&
      workload.connections === connections &&
      workload.headers === usualHeaders(kind) &&
      contender.type === 'strategy' &&
      contender.strategy === name,
  );
}

/** To three digits, or all of those before the point. */
function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value < 1000 ? value.toPrecision(3) : Number(value.toPrecision(3)).toLocaleString('en');
}

function gainCell(trial: Trial | undefined): string {
  if (trial === undefined) return '–';
  const { gain } = trial;
  assert.ok(gain !== null);
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const amount = Math.abs(gain.average * 100).toLocaleString('en', digits);
  const doubt = gain.verdict === 'no difference shown' ? ' ?' : '';
  return `${gain.average < 0 ? '−' : '+'}${amount} %${doubt}`;
}

/** What is said of each gain and comparison, by what it is about. */
function verdictsOf(name: string): Map<string, string> {
  const run = resultsIn(name);
  return new Map([
    ...run.trials.flatMap(({ workload, contender, gain }) =>
      gain === null ? [] : [[JSON.stringify([workload, contender]), gain.verdict] as const],
    ),
    ...run.comparisons.map(
      ({ workload, of, over, gain }) =>
        [JSON.stringify([workload, of, over]), gain.verdict] as const,
    ),
  ]);
}

describe('RESULTS.md', () => {
  test('says how many verdicts of the two default runs are the same', () => {
    const [first, again] = [verdictsOf('default.json'), verdictsOf('default-again.json')];
    const same = [...first].filter(([about, verdict]) => again.get(about) === verdict);
    assert.ok(text.includes(`${same.length} of ${first.size} verdicts are the same`));
  });

  for (const [line, depth, connections] of [
    ['64 requests of a connection at a time, one connection:', 64, 1],
    ['One request at a time:', 1, 1],
    ['Eight connections, 64 requests of each at a time:', 64, 8],
    ['Eight connections, one request of each at a time:', 1, 8],
  ] as const) {
    test(`gains: ${line}`, () => {
      const rows = rowsBehind(line);
      const linksThere = connections === 1 ? 6 : 5;
      assert.equal(rows.length, linksThere * Object.keys(kinds).length);
      for (const [link = '', kind = '', plain, ...gains] of rows) {
        const asked = { link: links[link], kind: kinds[kind], depth, connections };
        const expected = strategies.slice(1).map((strategy) => gainCell(find(asked, strategy)));
        const rate = shown(find(asked, 'plain')?.averages.requestsPerSecond);
        assert.deepEqual([link, kind, plain, ...gains], [link, kind, rate, ...expected]);
      }
    });
  }

  for (const [line, link, kind, depth] of [
    ['4 KiB reads over TCP on loopback, 64 at a time:', 'tcp', 'read-4k', 64],
    [
      '4 KiB reads over a network of two namespaces (veth, an MTU of 1500, no segmentation offload), one at a time:',
      ...(['veth', 'read-4k', 1] as const),
    ],
    ['512-byte reads over the same, one at a time:', 'veth', 'read-512', 1],
  ] as const) {
    test(`causes: ${line}`, () => {
      const figures: readonly (keyof Sample)[] = [
        'systemCallsPerRequest',
        'segmentsPerReply',
        'bytesPerSegment',
        'serverMicrosecondsPerRequest',
      ];
      const rows = rowsBehind(line);
      assert.deepEqual(
        rows,
        strategies.map((strategy) => {
          const asked = { link, kind, depth, connections: 1 };
          const trial = find(asked, strategy, usual) ?? find(asked, strategy);
          return [strategy, ...figures.map((figure) => shown(trial?.averages[figure]))];
        }),
      );
    });
  }
});
