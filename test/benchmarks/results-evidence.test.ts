/** Behind each answer of RESULTS.md stand measurements, each of which names what it is of. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Figure, Gain, Results } from '../../benchmarks/results.js';
import {
  compared,
  find,
  gainText,
  kinds,
  links,
  resultsIn,
  rowsOf,
  shown,
  text,
  type Asked,
} from './support/published.js';

const figures: Readonly<Record<string, Figure>> = {
  'system calls a request': 'systemCallsPerRequest',
  'segments a reply': 'segmentsPerReply',
  'requests a second': 'requestsPerSecond',
  'server µs a request': 'serverMicrosecondsPerRequest',
};

/** Such as `TCP, TLS, 4 KiB reads, 8 connections, 64 at a time: stream over plain`. */
const labelPattern =
  /^(?<link>.+?), (?<kind>[^,]+)(?:, (?<connections>8) connections)?, (?<depth>1|64) at a time: (?<what>.+)$/;

function gainOf(asked: Asked, of: string, over: string, run: Results): Gain | null | undefined {
  return over === 'plain' ? find(asked, of, run)?.gain : compared(asked, of, over, run);
}

function measured(label: string, run: Results): string {
  const groups = labelPattern.exec(label)?.groups ?? {};
  const { link = '', kind = '', connections = '1', depth, what = '' } = groups;
  const asked = {
    link: links[link],
    kind: kinds[kind],
    depth: Number(depth),
    connections: Number(connections),
  };
  const [of = '', over] = what.split(' over ');
  if (over !== undefined) {
    const gain = gainOf(asked, of, over, run);
    assert.ok(gain, label);
    return gainText(gain);
  }
  const [figure = '', strategy = ''] = what.split(' of ');
  const field = figures[figure];
  assert.ok(field !== undefined, label);
  return shown(find(asked, strategy, run)?.averages[field]);
}

/** What the tables of evidence are from is told in their heads, where it is not the full run. */
const headPattern = /^measured(?: in \[(?<name>.+)\]\(results\/.+\))?$/;

const tables = text
  .split('\n\n')
  .filter((block) => block.startsWith('| measured'))
  .map((block) => {
    const [[head = ''] = [], , ...rows] = rowsOf(block);
    const { name = 'full.json' } = headPattern.exec(head)?.groups ?? {};
    return { run: resultsIn(name), rows };
  });

describe('RESULTS.md says in evidence', () => {
  test('something of each question that was measured', () => {
    const [, questions = ''] = text.split('## The questions of the thread');
    const count = questions.match(/^\*\*.+\?\*\*/gm)?.length ?? 0;
    // Who uncorks on errors is for the tests to show. What corks alone bring has a table of its own,
    // and so have the answer in short, corks without BBR, the default run and BLOCK_STATUS by TLS.
    assert.equal(tables.length, count - 1 + 5);
  });

  for (const { run, rows } of tables) {
    for (const [label = '', figure] of rows) {
      test(label, () => {
        assert.equal(figure, measured(label, run));
      });
    }
  }
});
