/** RESULTS.md and the results behind it, and how the one tells of the other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Gain, HeaderKind, Kind, Link, Results, Trial } from '../../../benchmarks/results.js';
import { usualHeaders } from '../../../benchmarks/workloads.js';

const folder = fileURLToPath(new URL('../../../../benchmarks/', import.meta.url));

export const text = readFileSync(join(folder, 'RESULTS.md'), 'utf8');

export function resultsIn(name: string): Results {
  return JSON.parse(readFileSync(join(folder, 'results', name), 'utf8')) as Results;
}

export const full = resultsIn('full.json');

export const links: Readonly<Record<string, Link>> = {
  Unix: 'unix',
  'Unix, TLS': 'unix-tls',
  TCP: 'tcp',
  'TCP, TLS': 'tcp-tls',
  pipes: 'pipe',
  'TCP, veth': 'veth',
};
export const kinds: Readonly<Record<string, Kind>> = {
  '4 KiB reads': 'read-4k',
  '64 KiB reads': 'read-64k',
  'half 4 KiB writes': 'mixed-4k',
  BLOCK_STATUS: 'extents',
  '512-byte reads': 'read-512',
};

/** The rows of the table behind a line, without its head. */
export function rowsBehind(line: string): string[][] {
  const [, rest] = text.split(`\n${line}\n\n`);
  assert.ok(rest !== undefined, line);
  const [table = ''] = rest.split('\n\n');
  return rowsOf(table.trim()).slice(2);
}

export function rowsOf(table: string): string[][] {
  return table.split('\n').map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((one) => one.trim()),
  );
}

/** What a row of the text is about. */
export interface Asked {
  readonly link: Link | undefined;
  readonly kind: Kind | undefined;
  readonly depth: number;
  readonly connections: number;
  readonly headers?: HeaderKind;
}

export function isOf(asked: Asked, workload: Trial['workload']): boolean {
  const { link, kind, depth, connections } = asked;
  assert.ok(link !== undefined && kind !== undefined, 'a row of a link and a kind that there is');
  return (
    workload.link === link &&
    workload.kind === kind &&
    workload.depth === depth &&
    workload.connections === connections &&
    workload.headers === (asked.headers ?? usualHeaders(kind))
  );
}

/** By the name of the strategy or of the other server. */
export function find(asked: Asked, name: string): Trial | undefined {
  return full.trials.find(
    ({ workload, contender }) =>
      isOf(asked, workload) &&
      (contender.type === 'strategy' ? contender.strategy : contender.name) === name,
  );
}

/** To three digits, or all of those before the point. */
export function shown(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return value < 1000 ? value.toPrecision(3) : Number(value.toPrecision(3)).toLocaleString('en');
}

function percent(share: number): string {
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const amount = Math.abs(share * 100).toLocaleString('en', digits);
  return `${share < 0 ? '−' : '+'}${amount} %`;
}

/** In a table of gains. */
export function gainCell(trial: Trial | undefined): string {
  if (trial === undefined) return '–';
  const { gain } = trial;
  assert.ok(gain !== null);
  return percent(gain.average) + (gain.verdict === 'no difference shown' ? ' ?' : '');
}

/** With its interval. */
export function gainText({ average, low, high, verdict }: Gain): string {
  const doubt = verdict === 'no difference shown' ? `, ${verdict}` : '';
  return `${percent(average)} (${percent(low).replace(' %', '')} to ${percent(high)})${doubt}`;
}
