/** The program from its arguments to the report, with short runs whose figures do not matter. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { findCpuPinning } from '../measure/cpu-pinning.js';
import type { Results } from '../results.js';
import { makeVeth } from '../measure/veth.js';
import { messageOf } from '../../lib/errors.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { needs, skipTest } from '../../test/support/peers.js';
import { runBench, startBench } from './support/program.js';

const short = ['--runs', '4', '--seconds', '0.03'];
const withoutNative = process.env['NBDCORK_NO_NATIVE'] === '1';

async function bench(t: TestContext, ...args: string[]) {
  const folder = join(await temporaryFolder(t), 'report');
  const { status, stdout, stderr } = await runBench(t, [...args, '--output', folder]);
  assert.equal(status, 0, stderr);
  const text = await readFile(join(folder, 'results.json'), 'utf8');
  return { results: JSON.parse(text) as Results, stdout, stderr, folder };
}

/** Segments a reply, by kind and strategy: the least of all samples, as retransmissions count too. */
function segmentsOf({ trials }: Results): Record<string, Record<string, number>> {
  const table: Record<string, Record<string, number>> = {};
  for (const { workload, candidate, samples } of trials) {
    assert.ok(candidate.type === 'strategy');
    const row = (table[workload.kind] ??= {});
    const segments = samples.map(({ segmentsPerReply }) => segmentsPerReply ?? NaN);
    row[candidate.strategy] = Number(Math.min(...segments).toFixed(1));
  }
  return table;
}

function isFigure(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

describe('a run', () => {
  test('writes its results, and prints them', async (t) => {
    const words = ['unix', 'pipe', 'read-512', 'depth=1', 'plain', 'stream'];
    const { results, stdout, stderr, folder } = await bench(t, ...words, ...short);
    const { schema, version, command, startedAt, seconds, machine, trials, micro } = results;
    assert.equal(schema, 4);
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal(command, `nbdcork-bench ${words.join(' ')} ${short.join(' ')} --output ${folder}`);
    assert.ok(Math.abs(Date.now() - Date.parse(startedAt)) < 600_000);
    assert.ok(isFigure(seconds) && isFigure(machine.cores) && isFigure(machine.memoryBytes));
    assert.equal(machine.node, process.version);
    assert.match(machine.kernel, /^Linux \d/);
    const pinning = findCpuPinning();
    assert.deepEqual(
      results.processors,
      pinning === undefined ? null : { servers: pinning.servers, load: pinning.load },
    );
    assert.deepEqual(micro, []);
    assert.deepEqual(
      trials.map(({ workload, candidate }) => [
        workload.link,
        workload.kind,
        candidate.type === 'strategy' && candidate.strategy,
      ]),
      [
        ['unix', 'read-512', 'plain'],
        ['unix', 'read-512', 'stream'],
        ['pipe', 'read-512', 'plain'],
        ['pipe', 'read-512', 'stream'],
      ],
    );
    for (const { samples, latencyMicroseconds, latencyCurve } of trials) {
      assert.equal(samples.length, 3, 'four runs, of which the first is thrown away');
      for (const sample of samples) {
        assert.ok(isFigure(sample.requestsPerSecond));
        assert.ok(isFigure(sample.systemCallsPerRequest));
        assert.ok(isFigure(sample.serverMicrosecondsPerRequest));
        assert.ok(isFigure(sample.clientMicrosecondsPerRequest));
        assert.equal(sample.segmentsPerReply, null);
      }
      assert.ok(latencyMicroseconds !== null);
      const { p50, p99, p999 } = latencyMicroseconds;
      assert.ok(p50 > 0 && p50 <= p99 && p99 <= (p999 ?? Infinity));
      assert.deepEqual(
        latencyCurve.toSorted((a, b) => a - b),
        latencyCurve,
      );
      const median = latencyCurve[results.latencyPercentiles.indexOf(50)];
      assert.equal(median, Number(p50.toPrecision(3)));
    }
    const gains = trials.map(({ gain }) => gain);
    assert.ok(gains[0] === null && gains[2] === null);
    for (const gain of [gains[1], gains[3]]) {
      assert.ok(gain !== undefined && gain !== null);
      assert.ok(gain.worst <= gain.average && gain.average <= gain.best);
      assert.ok(gain.low <= gain.average && gain.average <= gain.high);
    }
    assert.match(stdout, /\| unix read-512, 1 × 1, simple \| plain/);
    assert.ok(stdout.includes(folder));
    const [page, text] = await Promise.all(
      ['results.html', 'results.md'].map((name) => readFile(join(folder, name), 'utf8')),
    );
    assert.match(page ?? '', /<html/);
    assert.match(text ?? '', /^\| Unix socket +\| 512-byte reads +\| +1 \| +1 \| simple +\|/m);
    assert.match(stderr, /left: (unix|pipe) read-512/);
  });

  test('with a segment for each piece or one for both', { skip: withoutNative }, async (t) => {
    const strategies = ['plain', 'sends', 'cork', 'more', 'vectored', 'batched'];
    const words = ['tcp', 'read-512', 'depth=1', ...strategies];
    const { results } = await bench(t, ...words, ...short);
    assert.deepEqual(segmentsOf(results), {
      'read-512': { plain: 2, sends: 2, cork: 1, more: 1, vectored: 1, batched: 1 },
    });
  });

  test(
    'across two namespaces, where a segment has 1448 bytes',
    { skip: withoutNative },
    async (t) => {
      if (!needs(t, 'ip', 'ethtool')) return;
      try {
        makeVeth().remove();
      } catch (error) {
        skipTest(t, messageOf(error));
        return;
      }
      const words = ['veth', 'read-512', 'read-4k', 'depth=1', 'plain', 'cork', 'more', 'vectored'];
      const { results } = await bench(t, ...words, ...short);
      assert.deepEqual(segmentsOf(results), {
        // The header alone and three for 4096 bytes; three for 4112 bytes.
        'read-4k': { plain: 4, cork: 3, more: 3, vectored: 3 },
        'read-512': { plain: 2, cork: 1, more: 1, vectored: 1 },
      });
    },
  );

  test('has other servers, and fio', async (t) => {
    if (!needs(t, 'nbdkit', 'fio')) return;
    const words = ['unix', 'read-4k', 'depth=64', 'plain', 'nbdkit'];
    const { results } = await bench(t, ...words, '--load', 'fio', ...short);
    assert.deepEqual(
      results.trials.map(({ workload, candidate }) => [
        workload.load,
        workload.headers,
        candidate.type === 'strategy' ? candidate.strategy : candidate.name,
      ]),
      [
        ['fio', 'structured', 'plain'],
        ['fio', 'structured', 'nbdkit'],
      ],
    );
    const [ours, nbdkit] = results.trials;
    assert.ok(nbdkit?.candidate.type === 'peer' && /^\d+\.\d+/.test(nbdkit.candidate.version));
    for (const trial of [ours, nbdkit]) {
      assert.ok(isFigure(trial?.latencyMicroseconds?.p99));
      assert.ok((trial?.latencyCurve.length ?? 0) > 8);
      assert.equal(trial?.samples[0]?.systemCallsPerRequest, null);
    }
    assert.ok(nbdkit.gain !== null);
  });

  test('has an nbd-server that serves eight clients', async (t) => {
    if (!needs(t, 'nbd-server')) return;
    const words = ['tcp', 'read-512', 'depth=1', 'connections=8', 'plain', 'nbd-server'];
    const { results } = await bench(t, ...words, ...short);
    const [, theirs] = results.trials;
    // Without the addon, strategies of ours are left out as well.
    assert.deepEqual(
      results.skipped.filter(({ what }) => what.startsWith('nbd-server')),
      [],
    );
    assert.ok(theirs?.candidate.type === 'peer' && isFigure(theirs.samples[0]?.requestsPerSecond));
  });

  test('reports what it did not measure, and why', async (t) => {
    const { results, stderr } = await bench(t, 'pipe', 'read-512', 'depth=1', ...short);
    const pipe = results.skipped.find(({ what }) => what.endsWith('on pipe'));
    assert.match(pipe?.why ?? '', /not a socket/);
    // The limit was not named.
    assert.deepEqual(
      results.skipped.filter(({ what }) => what === 'limit'),
      [],
    );
    assert.match(stderr, /not measured: .* on pipe: /);
    const all = await bench(t, '--all', 'tcp-tls', 'read-4k', 'depth=1', ...short);
    const whats = all.results.skipped.map(({ what }) => what);
    assert.ok(whats.includes('limit'));
    if (needs(t, 'nbd-server')) assert.ok(whats.includes('nbd-server on tcp-tls'));
  });
});

describe('invalid usage', () => {
  for (const args of [['tpc'], ['--runs', '3'], ['--seconds', '0'], ['--load', 'dd'], ['-o', '']]) {
    test(args.join(' '), async (t) => {
      const { status, stderr } = await runBench(t, [...args]);
      assert.equal(status, 2);
      assert.ok(stderr.includes(args.at(-1) ?? ''), stderr);
    });
  }
});

describe('an unusable report folder is refused before anything is measured', () => {
  const refused = async (t: TestContext, folder: string) => {
    const { status, stdout, stderr } = await runBench(t, ['unix', '--output', folder]);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(
      stderr,
      /^nbdcork-bench: The report cannot be written into .*\(NBDCORK_BENCH\)\n$/,
    );
    assert.ok(stderr.includes(folder), stderr);
  };

  test('a file', async (t) => {
    const file = join(await temporaryFolder(t), 'file');
    await writeFile(file, '');
    await refused(t, file);
    await refused(t, join(file, 'within'));
  });

  // Root may write there, but there are no new folders.
  for (const folder of ['/proc', '/proc/new', '/proc/new/within']) {
    test(folder, { skip: !existsSync('/proc/self') && 'there is no /proc' }, async (t) => {
      await refused(t, folder);
    });
  }
});

describe('words that select nothing are refused with the reason', () => {
  for (const [args, reason] of [
    [['pipe', 'connections=8'], 'pipes are a single connection'],
    [['simple', 'extents'], 'no simple reply to BLOCK_STATUS'],
    [['extended', 'read-64k'], 'structured and extended headers are'],
    [['extended', 'depth=1'], 'only measured with depth=64'],
    [['--load', 'fio', 'extents'], 'fio does not send BLOCK_STATUS'],
    [['--load', 'fio', 'tcp-tls'], 'without TLS'],
    [['--load', 'fio', 'structured'], 'fio chooses the headers'],
  ] as const) {
    test(args.join(' '), async (t) => {
      const folder = await temporaryFolder(t);
      const { status, stderr } = await runBench(t, [...args, '-o', folder]);
      assert.equal(status, 2);
      assert.match(stderr, /Nothing to measure: .*\(NBDCORK_BAD_SELECTION\)\n$/);
      assert.ok(stderr.includes(reason), stderr);
    });
  }
});

describe('candidates that cannot be measured are refused with the reason', () => {
  const refused = async (t: TestContext, words: string[], env: NodeJS.ProcessEnv = {}) => {
    const folder = await temporaryFolder(t);
    const args = [...words, ...short, '-o', folder];
    const { status, stdout, stderr } = await runBench(t, args, { env });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /NBDCORK_BAD_SELECTION/);
    return stderr;
  };

  test('by the link', async (t) => {
    assert.match(await refused(t, ['pipe', 'cork']), /cork on pipe: a pipe is not a socket/);
  });

  test('without the addon', async (t) => {
    const words = ['tcp', 'read-4k', 'depth=64', 'batched'];
    const told = await refused(t, words, { NBDCORK_NO_NATIVE: '1' });
    assert.match(told, /measure: batched: the addon does not load, so it is stream\. /);
  });

  test('without the other server', async (t) => {
    // Neither is on PATH nor where servers usually are.
    const told = await refused(t, ['unix', 'nbdkit'], { PATH: '/nowhere' });
    assert.match(told, /measure: nbdkit: it is not installed\. /);
  });
});

test('the word limit needs the option', async (t) => {
  const { status, stderr } = await runBench(t, ['limit']);
  assert.equal(status, 2);
  assert.match(stderr, /--limit PATH.*NBDCORK_BAD_SELECTION/);
});

test('a --limit that is not a program is refused before anything is measured', async (t) => {
  const folder = await temporaryFolder(t);
  const { status, stderr } = await runBench(t, ['unix', '--limit', folder, '-o', folder]);
  assert.equal(status, 1);
  assert.match(stderr, /^nbdcork-bench: The server of --limit cannot be run: .* is not a file/);
});

test('an earlier report is replaced, with a message', async (t) => {
  const folder = await temporaryFolder(t);
  const args = ['pipe', 'read-512', 'depth=1', 'plain', ...short, '-o', folder];
  await writeFile(join(folder, 'results.json'), '');
  const { stdout } = await runBench(t, args);
  assert.ok(stdout.endsWith(`The report is in ${folder}, replacing an earlier one.\n`), stdout);
});

test('a limit that fails makes the run fail', async (t) => {
  const folder = await temporaryFolder(t);
  const words = ['unix', 'read-512', 'depth=1', 'plain', '--limit', '/bin/true'];
  const { status, stderr } = await runBench(t, [...words, ...short, '-o', folder]);
  assert.equal(status, 1);
  assert.match(stderr, /not measured: limit: .* The server ended with 0: .*\n1 trial failed/s);
});

for (const [signal, number] of [
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  test(`${signal} ends it with ${128 + number}`, async (t) => {
    const folder = join(await temporaryFolder(t), 'report');
    const program = startBench(t, ['unix', '--seconds', '3600', '-o', folder]);
    await program.stderr.match(/left: unix/);
    const { status } = await program.stop(signal);
    assert.equal(status, 128 + number);
    assert.match(program.stderr.text, /Stopped before/);
  });
}

test('SIGINT ends it, with no report', async (t) => {
  const outer = join(await temporaryFolder(t), 'reports');
  const folder = join(outer, 'report');
  const program = startBench(t, ['unix', '--seconds', '0.03', '-o', folder]);
  await program.stderr.match(/left: unix/);
  const { status } = await program.stop('SIGINT');
  assert.equal(status, 130);
  assert.equal(program.stdout.text, '');
  await assert.rejects(access(outer), { code: 'ENOENT' });
});
