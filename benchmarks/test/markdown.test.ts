import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { format } from 'prettier';
import { markdownReport } from '../report/markdown.js';
import { pageReport } from '../report/page.js';
import { results, trial, workload, ours, sample } from './support/results.js';

/** The cells of a table of the Markdown, without its padding: its header, then its rows. */
function tableUnder(heading: string, markdown: string): string[][] {
  const [, section] = markdown.split(`\n## ${heading}\n`);
  assert.ok(section !== undefined, `no section ${heading}`);
  const lines = (section.split('\n## ')[0] ?? '')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const cells = lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const [header = [], , ...rows] = cells;
  return [header, ...rows];
}

describe('the report in Markdown', () => {
  const markdown = markdownReport(results);

  it('has a row a workload and a column a strategy, with gain, interval and verdict', () => {
    assert.deepEqual(tableUnder('Requests a second', markdown), [
      ['link', 'requests', 'connections', 'depth', 'headers', 'plain', 'cork', 'batched'],
      [
        ...['Unix socket', '4 KiB reads', '1', '1', 'simple'],
        ...['22,000', '–'],
        '22,100<br>+0.2 %<br>−1.3 to +1.7 %<br>runs +79.2 to +91.7 %<br>no difference shown',
      ],
      [
        ...['TCP, loopback', '4 KiB reads', '1', '64', 'simple'],
        '40,700',
        '36,200<br>−11.1 %<br>−12.8 to −9.4 %<br>runs −14.3 to −9.2 %<br>slower',
        '75,500<br>+85.3 %<br>+82.1 to +88.4 %<br>runs +79.2 to +91.7 %<br>faster',
      ],
    ]);
  });

  it('tells what causes it, peers included', () => {
    const [header, ...rows] = tableUnder('What causes it', markdown);
    assert.deepEqual(header?.slice(5), [
      'candidate',
      'system calls a request',
      'segments a reply',
      'bytes a segment',
      'server CPU, µs a request',
      'client CPU, µs a request',
      'latency p50, µs',
      'latency p99, µs',
      'latency p99.9, µs',
    ]);
    assert.deepEqual(rows.map((row) => row.slice(5)).slice(2), [
      ['plain', '3.03', '2.00', '2,056', '–', '–', '1,570', '2,230', '4,410'],
      ['cork', '–', '–', '–', '–', '–', '–', '–', '–'],
      ['batched', '0.0613', '0.0625', '64,897', '9.88', '6.56', '833', '1,290', '3,080'],
      ['nbdkit', '–', '–', '–', '–', '–', '–', '–', '–'],
    ]);
  });

  it('compares other servers with the batched strategy of the same row', () => {
    const [, ...rows] = tableUnder('Against other servers', markdown);
    assert.deepEqual(
      rows.map((row) => row.slice(3)),
      [
        ['64', 'simple', 'nbdcork, batched', '0.1.0', '75,500', '1.00×', '9.88'],
        // 45,270 / 75,450
        ['64', 'simple', 'nbdkit', '1.42.3', '45,300', '0.60×<br>0.59× to 0.61×', '–'],
      ],
    );
  });

  it('sums up by link how often each strategy won', () => {
    const [header, ...rows] = tableUnder('In short', markdown);
    assert.deepEqual(header, ['strategy', 'how it sends', 'Unix socket', 'TCP, loopback']);
    assert.deepEqual(
      rows.map(([strategy, , ...cells]) => [strategy, ...cells]),
      [
        ['cork', '–', '−11.1 %<br>faster in 0 of 1<br>slower in 1 of 1'],
        [
          'batched',
          '+0.2 %<br>faster in 0 of 1<br>slower in 0 of 1',
          '+85.3 %<br>faster in 1 of 1<br>slower in 0 of 1',
        ],
      ],
    );
  });

  it('sums up an even number of workloads by the middle of the middle two', () => {
    const gains = [0.4, 0.1, 0.2, 0.9].map((average, index) =>
      trial(ours('more'), {
        workload: { ...workload, depth: index + 1 },
        gain: { average, worst: 0, best: 1, low: 0.05, high: 1, verdict: 'faster' },
      }),
    );
    const [, row] = tableUnder('In short', markdownReport({ ...results, trials: gains }));
    assert.equal(row?.[2], '+30.0 %<br>faster in 4 of 4<br>slower in 0 of 4');
  });

  it('has calls alone, what was left out, the machine and the run', () => {
    assert.deepEqual(tableUnder('Calls and codecs alone', markdown).slice(1), [
      ['sendmsg', '16', '2,180', '37.2'],
      ['encode a simple reply', '–', '38.7', '1.90'],
    ]);
    assert.deepEqual(tableUnder('Not measured here', markdown).slice(1), [
      ['veth', 'network namespaces need root'],
    ]);
    assert.deepEqual(Object.fromEntries(tableUnder('Machine and run', markdown).slice(1)), {
      nbdcork: '0.1.0, commit 4dadb43',
      command: 'nbdcork-bench tcp',
      started: '2026-11-23T08:15:30.000Z',
      took: '2 min 51 s',
      'runs of a trial': '1 to 2',
      'runs left out as outliers': '0 of 11',
      'a run':
        '0.250 s; ours after 0.100 s to warm up, by TLS, by pipes and with one request at a time twice as long',
      processor: 'Example CPU @ 2.10GHz',
      cores: '2',
      'our servers run on': 'processor 0',
      'the load generator runs on': 'processor 1',
      memory: '24 GiB',
      kernel: '6.12.9',
      Node: 'v20.19.5',
      OpenSSL: '3.0.17',
    });
  });

  it('leaves out sections that a run has nothing for', () => {
    const bare = markdownReport({
      ...results,
      trials: [],
      comparisons: [],
      micro: [],
      skipped: [],
      commit: null,
    });
    assert.doesNotMatch(bare, /Against other servers|Calls and codecs|Not measured/);
    assert.match(bare, /\| nbdcork +\| 0\.1\.0 +\|/);
  });

  it('says first of all where it was interrupted', async () => {
    const stopped = { ...results, interrupted: true };
    assert.match(markdownReport(stopped), /^# .+\n\nThis run was interrupted: /);
    assert.doesNotMatch(markdownReport(results), /interrupted/);
    assert.match(await pageReport(stopped), /<p>This run was interrupted: [^<]+<\/p>\n<nav/);
    assert.doesNotMatch(await pageReport(results), /This run was interrupted/);
  });

  it('names the load generator where it differs', () => {
    const fio = trial(ours('plain'), {
      workload: { ...workload, load: 'fio' },
      samples: [sample(33_000)],
    });
    const table = tableUnder(
      'Requests a second',
      markdownReport({ ...results, trials: [...results.trials, fio] }),
    );
    assert.deepEqual(
      table.map((row) => row[5]),
      ['load', 'nbdcork', 'nbdcork', 'fio'],
    );
  });

  it('takes no text for markup', () => {
    const skipped = [{ what: 'a|b <b>', why: 'line\none `code` *x* [y](z) &amp;' }];
    assert.deepEqual(tableUnder('Not measured here', markdownReport({ ...results, skipped }))[1], [
      String.raw`a\|b \<b\>`,
      String.raw`line one \`code\` \*x\* \[y\](z) \&amp;`,
    ]);
  });

  it('is formatted as prettier would', async () => {
    assert.equal(await format(markdown, { parser: 'markdown' }), markdown);
  });
});
