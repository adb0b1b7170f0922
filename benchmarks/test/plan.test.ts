/** What is measured, in which order, and for how long. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ourCandidates, roundsWithin, fullTiming, usualTiming } from '../measure/plan.js';
import { Pace } from '../measure/pace.js';
import { kinds, links, type Candidate, type Kind } from '../results.js';
import { Selection } from '../selection.js';
import { forFio, workload } from '../workloads.js';

const select = (...words: string[]) => new Selection(words, false);
const selectAll = (...words: string[]) => new Selection(words, true);
const strategy = (name: 'plain' | 'cork' | 'batched'): Candidate => ({
  type: 'strategy',
  strategy: name,
});
const peer = (name: string): Candidate => ({ type: 'peer', name, version: '1' });

describe('without words', () => {
  test('every link has a row, of reads', () => {
    const { workloads } = select();
    assert.deepEqual(new Set(workloads.map(({ link }) => link)), new Set(links));
    assert.ok(workloads.every(({ kind }) => kind.startsWith('read')));
    assert.ok(select().wantsMicro);
  });

  test('three peers, all strategies and four runs fit into three minutes', () => {
    const peers = ['nbdkit', 'qemu-nbd', 'nbd-server'].map(peer);
    const rows = select().workloads.map((workload) => ({
      workload,
      candidates: [...ourCandidates(workload, true), ...peers].filter((candidate) =>
        select().wantsCandidate(candidate, workload),
      ),
    }));
    assert.ok(rows.some(({ candidates }) => candidates.includes(peers[0] ?? peer(''))));
    const samples = rows.reduce((sum, { candidates }) => sum + candidates.length, 0);
    const seconds = samples * new Pace(usualTiming).secondsFor(usualTiming.seconds);
    const rounds = roundsWithin(usualTiming, seconds);
    assert.ok(rounds >= 4);
    assert.ok(rounds * seconds <= 165, `${rounds} rounds of ${seconds} s`);
  });
});

describe('words', () => {
  test('of one dimension are alternatives, of several all hold', () => {
    const { workloads } = select('tcp', 'veth', 'read-4k');
    assert.deepEqual(
      workloads.map(({ link, kind, depth, connections }) => [link, kind, depth, connections]),
      [
        ['tcp', 'read-4k', 1, 1],
        ['tcp', 'read-4k', 64, 1],
        ['veth', 'read-4k', 1, 1],
        ['veth', 'read-4k', 64, 1],
      ],
    );
    assert.ok(!select('tcp').wantsMicro);
  });

  test('name what is unusual', () => {
    const { workloads } = select('unix', 'connections=8', 'depth=64', 'mixed-4k');
    assert.deepEqual(workloads, [
      {
        link: 'unix',
        kind: 'mixed-4k',
        connections: 8,
        depth: 64,
        headers: 'simple',
        load: 'nbdcork',
      },
    ]);
    const extended = select('extended', 'tcp').workloads;
    assert.deepEqual(
      extended.map(({ kind }) => kind),
      ['read-4k', 'read-512', 'extents'],
    );
  });

  test('of candidates choose them, and plain, which gains are over', () => {
    const selection = select('batched', 'nbdkit');
    const wanted = [strategy('plain'), strategy('batched'), strategy('cork'), peer('nbdkit')];
    const [row] = selection.workloads;
    assert.ok(row !== undefined);
    assert.deepEqual(
      [...wanted, peer('qemu-nbd')].map((one) => selection.wantsCandidate(one, row)),
      [true, true, false, true, false],
    );
    assert.deepEqual(selection.workloads, select().workloads);
  });

  test('without any, one request at a time is not corked and not batched', () => {
    for (const name of ['cork', 'batched'] as const) {
      const isWanted = (selection: Selection): boolean[] =>
        [1, 64].map((depth) =>
          selection.wantsCandidate(strategy(name), workload('veth', 'read-4k', depth)),
        );
      assert.deepEqual(isWanted(select()), [false, true]);
      for (const other of [selectAll(), select('veth', 'depth=1'), select(name)]) {
        assert.deepEqual(isWanted(other), [true, true]);
      }
    }
  });

  test('everything has other servers in every row', () => {
    const all = selectAll();
    assert.equal(all.workloads.length, 5 * 25 + 15);
    assert.ok(all.workloads.every((workload) => all.wantsCandidate(peer('nbdkit'), workload)));
  });

  test('name the control, which is measured nowhere else', () => {
    const control: Candidate = { type: 'strategy', strategy: 'sends' };
    for (const selection of [select(), selectAll(), select('tcp', 'cork')]) {
      const { workloads } = selection;
      assert.ok(workloads.length > 0);
      assert.ok(!workloads.some((workload) => selection.wantsCandidate(control, workload)));
    }
    const named = select('tcp', 'sends');
    assert.ok(named.workloads.every((workload) => named.wantsCandidate(control, workload)));
  });

  test('of candidates do not leave out the limit that was given', () => {
    const limit = peer('limit');
    const selection = new Selection(['tcp', 'cork'], false, true);
    const [row] = selection.workloads;
    assert.ok(row !== undefined);
    assert.ok(selection.wantsCandidate(limit, row) && selection.names(limit));
    assert.ok(!select('tcp', 'cork').wantsCandidate(limit, row));
    assert.ok(new Selection([], false, true).names(limit));
    assert.ok(!select().names(strategy('cork')));
  });

  test('micro alone measures nothing else', () => {
    assert.deepEqual(select('micro').workloads, []);
    assert.ok(select('micro').wantsMicro);
  });

  test('that are none are refused', () => {
    assert.throws(() => select('tpc'), { code: 'NBDCORK_BAD_SELECTION', message: /'tpc'.*unix/ });
  });
});

describe('with --all', () => {
  test('every link, kind, depth and number of connections is there', () => {
    const { workloads } = selectAll();
    for (const link of links) {
      for (const kind of kinds) {
        for (const depth of [1, 64]) {
          for (const connections of link === 'pipe' ? [1] : [1, 8]) {
            const found = workloads.filter(
              (one) =>
                one.link === link &&
                one.kind === kind &&
                one.depth === depth &&
                one.connections === connections,
            );
            assert.ok(found.length > 0, `${link} ${kind} ${depth} ${connections}`);
          }
        }
      }
      const headersOf = (kind: Kind) =>
        new Set(
          workloads
            .filter((one) => one.link === link && one.kind === kind)
            .map((one) => one.headers),
        );
      for (const kind of ['read-4k', 'read-512'] as const) {
        assert.deepEqual(headersOf(kind), new Set(['simple', 'structured', 'extended']));
      }
      assert.deepEqual(headersOf('extents'), new Set(['structured', 'extended']));
    }
    assert.equal(new Set(workloads.map((one) => JSON.stringify(one))).size, workloads.length);
  });

  test('words leave out what does not match', () => {
    const { workloads } = selectAll('tcp', 'read-512');
    assert.deepEqual(
      workloads.map(({ depth, connections, headers }) => [depth, connections, headers]),
      [
        [1, 1, 'simple'],
        [64, 1, 'simple'],
        [1, 8, 'simple'],
        [64, 8, 'simple'],
        [64, 1, 'structured'],
        [64, 1, 'extended'],
      ],
    );
  });

  test('ten runs, however long that takes', () => {
    assert.equal(roundsWithin(fullTiming, 3600), 10);
  });
});

test('fio measures what it can, with structured replies', () => {
  const workloads = forFio(selectAll().workloads);
  assert.ok(workloads.length > 0);
  for (const { link, kind, headers, load } of workloads) {
    assert.ok(['unix', 'tcp', 'veth'].includes(link) && kind !== 'extents');
    assert.deepEqual([headers, load], ['structured', 'fio']);
  }
});

test('a row leaves out what is another strategy under another name', () => {
  const names = (words: string[], hasAddon: boolean) =>
    select(...words, 'depth=1', 'read-4k').workloads.flatMap((workload) =>
      ourCandidates(workload, hasAddon).map((one) => (one.type === 'strategy' ? one.strategy : '')),
    );
  assert.deepEqual(names(['unix'], true), ['plain', 'more', 'vectored', 'batched', 'stream']);
  assert.deepEqual(names(['pipe'], true), ['plain', 'stream']);
  assert.deepEqual(names(['tcp'], false), ['plain', 'stream']);
});
