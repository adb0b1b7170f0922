/** The tables of RESULTS.md say, cell by cell, what was measured of that link, kind and strategy. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Comparison, Figure, Results } from '../../benchmarks/results.js';
import { differs } from '../../benchmarks/workloads.js';
import { strategyNames } from '../../lib/transport/transport.js';
import {
  compared,
  find,
  full,
  gainCell,
  gainText,
  kinds,
  links,
  micro,
  resultsIn,
  rowsBehind,
  runs,
  selfCheck,
  shortGain,
  shown,
  text,
  verdictsOf,
  withServers,
  type Asked,
} from './support/published.js';
import { sentences, tallies } from './support/sentences.js';

const others = strategyNames.filter((strategy) => strategy !== 'plain');

function labelOf<T>(labels: Readonly<Record<string, T>>, value: T): string {
  return Object.keys(labels).find((label) => labels[label] === value) ?? '';
}

function isOverLimit({ over }: Comparison): boolean {
  return over === 'limit';
}

describe('RESULTS.md', () => {
  test('is about whole runs', () => {
    for (const [name, { interrupted, skipped }] of runs) {
      assert.equal(interrupted, false, name);
      assert.ok(!skipped.some(({ failed }) => failed === true), name);
    }
  });

  test('is about one commit, but for single calls', () => {
    const commits = [...runs.values(), selfCheck]
      .filter((run) => run !== micro)
      .map(({ commit }) => commit);
    assert.match(full.commit ?? '', /^[0-9a-f]{40}$/);
    assert.match(micro.commit ?? '', /^[0-9a-f]{40}$/);
    assert.deepEqual([...new Set(commits)], [full.commit]);
  });

  for (const sentence of sentences) {
    test(`says: ${sentence}`, () => {
      assert.ok(text.includes(sentence), sentence);
    });
  }

  test('counts in how many settings one is faster than the other', () => {
    const line =
      'Faster, slower, and no difference shown, of all settings on a link that have both:';
    assert.deepEqual(rowsBehind(line), tallies);
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
        const expected = others.map((strategy) => {
          const trial = find(asked, strategy);
          assert.equal(trial !== undefined, differs(asked.link ?? 'unix', strategy));
          return gainCell(trial);
        });
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
      const figures: readonly Figure[] = [
        'systemCallsPerRequest',
        'segmentsPerReply',
        'bytesPerSegment',
        'serverMicrosecondsPerRequest',
        'clientMicrosecondsPerRequest',
      ];
      const asked = { link, kind, depth, connections: 1 };
      const expected = strategyNames.map((strategy) => {
        const averages = find(asked, strategy)?.averages;
        return [strategy, ...figures.map((figure) => shown(averages?.[figure]))];
      });
      assert.deepEqual(rowsBehind(line), expected);
    });
  }

  for (const [line, link] of [
    [
      'Latency of 4 KiB reads over TCP on loopback, 64 at a time, in microseconds, of all runs, mishaps among them:',
      'tcp',
    ],
    ['The same over veth:', 'veth'],
  ] as const) {
    test(line, () => {
      const asked = { link, kind: 'read-4k', depth: 64, connections: 1 } as const;
      const expected = strategyNames.map((strategy) => {
        const latency = find(asked, strategy)?.latencyMicroseconds;
        return [strategy, shown(latency?.p50), shown(latency?.p99), shown(latency?.p999)];
      });
      assert.deepEqual(rowsBehind(line), expected);
    });
  }

  test('batches are nowhere shown to be slower than plain or than a vector', () => {
    for (const over of ['plain', 'vectored']) {
      const verdicts = Object.values(links).flatMap((link) => verdictsOf('batched', over, link));
      assert.ok(verdicts.length > 0);
      assert.ok(!verdicts.includes('slower'), over);
    }
  });

  test('kinds of headers', () => {
    const rows = rowsBehind('Requests a second with `batched`, 64 at a time:');
    assert.equal(rows.length, 6);
    for (const [kind = '', link = '', ...rates] of rows) {
      const asked = { link: links[link], kind: kinds[kind], depth: 64, connections: 1 };
      const expected = (['simple', 'structured', 'extended'] as const).map((headers) =>
        shown(find({ ...asked, headers }, 'batched')?.averages.requestsPerSecond),
      );
      assert.deepEqual([kind, link, ...rates], [kind, link, ...expected]);
    }
  });

  describe('other servers', () => {
    const names = ['limit', 'nbdkit', 'qemu-nbd', 'nbd-server'];

    /** Requests a second of ours, and of the others with what ours gains over them. */
    function cellsOf(asked: Asked, run: Results): string[] {
      const ours = find(asked, 'batched', run) === undefined ? 'stream' : 'batched';
      const others = names.map((name) => {
        const rate = shown(find(asked, name, run)?.averages.requestsPerSecond);
        const gain = compared(asked, ours, name, run);
        return gain === undefined ? rate : `${rate} (${shortGain(gain)})`;
      });
      return [shown(find(asked, ours, run)?.averages.requestsPerSecond), ...others];
    }

    for (const [line, run, count] of [
      ['Requests a second, and in brackets what nbdcork gains over them:', full, 16],
      [
        'The same of one request at a time where all processors are kept awake for all servers:',
        ...([resultsIn('awake.json'), 2] as const),
      ],
    ] as const) {
      test(line, () => {
        const rows = rowsBehind(line);
        assert.equal(rows.length, count);
        for (const [link = '', kind = '', setting = '', ...cells] of rows) {
          const [connections = 0, depth = 0] = setting.split(' × ').map(Number);
          const asked = { link: links[link], kind: kinds[kind], depth, connections };
          assert.deepEqual(
            [link, kind, setting, ...cells],
            [...[link, kind, setting], ...cellsOf(asked, run)],
          );
        }
      });
    }

    test('every one that is faster is told', () => {
      const expected = [...withServers(), ...full.comparisons.filter(isOverLimit)].filter(
        ({ gain }) => gain.verdict === 'slower',
      );
      assert.deepEqual(
        rowsBehind('Where another server is faster:'),
        expected.map(({ workload, over, gain }) => {
          const { link, kind, connections, depth, headers } = workload;
          const setting = `${connections} × ${depth}`;
          return [
            labelOf(links, link),
            labelOf(kinds, kind),
            setting,
            headers,
            over,
            gainText(gain),
          ];
        }),
      );
    });
  });

  test('with fio as the load', () => {
    const run = resultsIn('fio.json');
    const rows = rowsBehind(
      '4 KiB reads, 64 at a time, asked by fio, which takes structured headers:',
    );
    assert.equal(rows.length, 3);
    for (const [link = '', plain, ...gains] of rows) {
      const asked = {
        ...{ link: links[link], kind: kinds['4 KiB reads'], depth: 64, connections: 1 },
        headers: 'structured' as const,
      };
      const rate = shown(find(asked, 'plain', run)?.averages.requestsPerSecond);
      const expected = others.map((strategy) => gainCell(find(asked, strategy, run)));
      assert.deepEqual([link, plain, ...gains], [link, rate, ...expected]);
    }
  });

  test('single calls', () => {
    const nanoseconds = (name: string, pieces: number | null): string =>
      shown(
        micro.micro.find((one) => one.name === name && one.pieces === pieces)?.nanosecondsPerCall,
      );
    const vectors = rowsBehind(
      'Nanoseconds a call, by the number of pieces, over a Unix socket: a vector of pieces of one buffer, and of as many buffers; and a message of so many pieces through our transport, with the addon and without:',
    );
    const others = rowsBehind(
      'Nanoseconds a call, of those that have no pieces, over TCP, and of the codecs, which are JavaScript; to cork and uncork is timed with nothing to send:',
    );
    assert.deepEqual([vectors.length, others.length], [4, 9]);
    for (const [name = '', ...cells] of vectors) {
      assert.deepEqual(
        [name, ...cells],
        [name, ...[2, 16, 128, 1024].map((pieces) => nanoseconds(name, pieces))],
      );
    }
    for (const [name = '', cell] of others) assert.equal(cell, nanoseconds(name, null), name);
  });
});
