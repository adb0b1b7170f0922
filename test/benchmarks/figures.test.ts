import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markdownReport } from '../../benchmarks/report/markdown.js';
import { figuresNotIn } from './support/figures.js';
import { results } from './support/results.js';

describe('figures of a text that are not in the results', () => {
  const accepted = [
    'Batching brings +85.3 % (+82.1 to +88.4 %), 75,500 requests a second instead of 40,700.',
    'Batching brings 85 %: 1.85 times as much.',
    'Corking costs 11.1 %, −11.1 % or -11 %, and 9.2 to 14.3 % in the runs.',
    'Plain needs 3.03 system calls and 2 segments a reply, batched 0.0613\nsystem calls.',
    'It takes 9.88 µs of the server; half of the replies come within 833 µs, 99 % within 1.29 ms.',
    'nbdkit 1.42.3 is at 0.60× of it. A sendmsg of 16 pieces takes 2,184 ns, or 2.18 µs.'.slice(
      0,
      75,
    ),
    'On Linux 6.12.9 with Node 20.19.5, on 2026-11-23, with 24 GiB and 2 cores, in 171 s.',
    'With 4 KiB reads at depth 64; 95 % confidence; p99 latencies; issue #77.',
    '1. One\n2. Two\n10. Ten',
    'See `lib/file.ts:123` and [there](https://example.org/456/7).',
  ];
  for (const text of accepted) {
    it(`are none in: ${text.slice(0, 50).replaceAll('\n', ' ')}`, () => {
      assert.deepEqual(figuresNotIn(text, results), []);
    });
  }

  const refused: [string, string[]][] = [
    ['Batching brings +85.4 %.', ['line 1: +85.4 (percent)']],
    ['Corking brings 11.1 %,\nor +11.1 %.', ['line 2: +11.1 (percent)']],
    ['It is −85.3 %.', ['line 1: −85.3 (percent)']],
    ['A rate of 75,600 requests a second', ['line 1: 75,600 (rate)']],
    // In the results, but of something else.
    ['It needs 833 system calls.', ['line 1: 833 (systemCalls)']],
    ['It takes 2 to 4 system calls.', ['line 1: 2 (systemCalls)', 'line 1: 4 (systemCalls)']],
    ['It needs 36.2 % less.', ['line 1: 36.2 (percent)']],
    ['85.3 requests', ['line 1: 85.3']],
    ['0.62 times', ['line 1: 0.62 (ratio)']],
    ['1.57 µs', ['line 1: 1.57 (microseconds)']],
    ['120k and 99ms', ['line 1: 120', 'line 1: 99']],
    ['With TLS 1.3 over an MTU of 1500.', ['line 1: 1.3', 'line 1: 1500']],
    ['| 41,500 |\n| -12 % |', ['line 1: 41,500', 'line 2: -12 (percent)']],
  ];
  for (const [text, figures] of refused) {
    it(`are found in: ${text.replaceAll('\n', ' ')}`, () => {
      assert.deepEqual(figuresNotIn(text, results), figures);
    });
  }

  it('leave out constants that are named', () => {
    const text = 'With TLS 1.3 over an MTU of 1500 and 1.31 and 15000.';
    assert.deepEqual(figuresNotIn(text, results, ['TLS 1.3', 'MTU of 1500', '1.3']), [
      'line 1: 1.31',
      'line 1: 15000',
    ]);
  });

  it('are none in the report itself', () => {
    assert.deepEqual(figuresNotIn(markdownReport(results), results), []);
  });
});
