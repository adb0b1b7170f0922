/** The tables of RESULTS.md say, cell by cell, what was measured of that link, kind and strategy. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { strategies, type Sample } from '../../benchmarks/results.js';
import {
  find,
  full,
  gainCell,
  kinds,
  links,
  resultsIn,
  rowsBehind,
  shown,
  text,
} from './support/published.js';

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
  test('is about whole runs of code that is known', () => {
    for (const name of ['full.json', 'default.json', 'default-again.json']) {
      const { commit, interrupted, micro } = resultsIn(name);
      assert.match(commit ?? '', /^[0-9a-f]{40}$/);
      assert.equal(interrupted, false);
      assert.ok(micro.length > 0);
    }
  });

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
      const asked = { link, kind, depth, connections: 1 };
      const expected = strategies.map((strategy) => {
        const averages = find(asked, strategy)?.averages;
        return [strategy, ...figures.map((figure) => shown(averages?.[figure]))];
      });
      assert.deepEqual(rowsBehind(line), expected);
    });
  }

  test('latencies', () => {
    const asked = { link: 'tcp', kind: 'read-4k', depth: 64, connections: 1 } as const;
    const line = 'Latency of 4 KiB reads over TCP on loopback, 64 at a time, in microseconds:';
    const expected = strategies.map((strategy) => {
      const latency = find(asked, strategy)?.latencyMicroseconds;
      return [strategy, shown(latency?.p50), shown(latency?.p99), shown(latency?.p999)];
    });
    assert.deepEqual(rowsBehind(line), expected);
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

  test('other servers', () => {
    const rows = rowsBehind('Requests a second:');
    assert.equal(rows.length, 8);
    for (const [link = '', kind = '', setting = '', ...rates] of rows) {
      const [connections = 0, depth = 0] = setting.split(' × ').map(Number);
      const asked = { link: links[link], kind: kinds[kind], depth, connections };
      const expected = ['batched', 'limit', 'nbdkit', 'qemu-nbd', 'nbd-server'].map((name) =>
        shown(find(asked, name)?.averages.requestsPerSecond),
      );
      assert.deepEqual([link, kind, setting, ...rates], [link, kind, setting, ...expected]);
    }
  });

  test('single calls', () => {
    const nanoseconds = (name: string, pieces: number | null): string =>
      shown(
        full.micro.find((one) => one.name === name && one.pieces === pieces)?.nanosecondsPerCall,
      );
    const vectors = rowsBehind(
      'Nanoseconds a call, by the number of pieces, over a Unix socket: a vector of pieces of one buffer, and of as many buffers; and a message of so many pieces through our transport, with the addon and without:',
    );
    const others = rowsBehind(
      'Nanoseconds a call, of those that have no pieces, over TCP, and of the codecs, which are JavaScript:',
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
