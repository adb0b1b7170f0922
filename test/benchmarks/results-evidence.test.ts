/** Behind each answer of RESULTS.md stand measurements, each of which names what it is of. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Gain, Sample } from '../../benchmarks/results.js';
import {
  find,
  full,
  gainText,
  isOf,
  kinds,
  links,
  rowsOf,
  shown,
  text,
  type Asked,
} from './support/published.js';

const figures: Readonly<Record<string, keyof Sample>> = {
  'system calls a request': 'systemCallsPerRequest',
  'segments a reply': 'segmentsPerReply',
  'server µs a request': 'serverMicrosecondsPerRequest',
};

/** Such as `TCP, TLS, 4 KiB reads, 64 at a time: stream over plain`. */
const labelPattern = /^(?<link>.+), (?<kind>[^,]+), (?<depth>1|64) at a time: (?<what>.+)$/;

function gainOf(asked: Asked, of: string, over: string): Gain | null | undefined {
  if (over === 'plain') return find(asked, of)?.gain;
  return full.comparisons.find(
    (one) => isOf(asked, one.workload) && one.of === of && one.over === over,
  )?.gain;
}

function measured(label: string): string {
  const { link = '', kind = '', depth, what = '' } = labelPattern.exec(label)?.groups ?? {};
  const asked = { link: links[link], kind: kinds[kind], depth: Number(depth), connections: 1 };
  const [of = '', over] = what.split(' over ');
  if (over !== undefined) {
    const gain = gainOf(asked, of, over);
    assert.ok(gain, label);
    return gainText(gain);
  }
  const [figure = '', strategy = ''] = what.split(' of ');
  const field = figures[figure];
  assert.ok(field !== undefined, label);
  return shown(find(asked, strategy)?.averages[field]);
}

const tables = text
  .split('\n\n')
  .filter((block) => block.startsWith('| measured'))
  .map((block) => rowsOf(block).slice(2));

describe('RESULTS.md says in evidence', () => {
  test('something of each question that was measured', () => {
    const [, questions = ''] = text.split('## The questions of the thread');
    const count = questions.match(/^\*\*.+\?\*\*/gm)?.length ?? 0;
    // Who uncorks on errors is for the tests to show.
    assert.equal(tables.length, count - 1);
  });

  for (const [label = '', figure] of tables.flat()) {
    test(label, () => {
      assert.equal(figure, measured(label));
    });
  }
});
