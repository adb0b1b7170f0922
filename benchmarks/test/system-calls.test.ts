/** The system calls that the benchmark reports are those that strace sees. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startOurs } from '../candidates/ours.js';
import { strategies, type Link, type Strategy } from '../results.js';
import { workload } from '../workloads.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { needsStrace } from '../../test/support/peers.js';
import { makeEnvironment, takeSample } from './support/environment.js';

/** Those that move bytes or cork, by whatever descriptor; waiting for events is not told. */
const traced = ['read', 'readv', 'write', 'writev', 'sendto', 'sendmsg', 'setsockopt'];

/** Counting itself reads /proc/self/io twice and sends the answer. */
const callsOfCounting = 3;
/** A thread of V8 may have woken another in the midst of counting. */
const callsUnsure = 6;

const withoutNative = process.env['NBDCORK_NO_NATIVE'] === '1' && 'NBDCORK_NO_NATIVE=1';
const native: readonly Strategy[] = ['cork', 'more', 'vectored', 'batched', 'sends'];

const cases: readonly (readonly [Link, Strategy, number])[] = [
  ...strategies.map((strategy) => ['tcp', strategy, 1] as const),
  ['tcp', 'batched', 64],
  ['unix', 'plain', 64],
  ['tcp-tls', 'stream', 64],
  ['pipe', 'stream', 64],
];

describe('the benchmark and strace agree', () => {
  for (const [link, strategy, depth] of cases) {
    const skip = native.includes(strategy) && withoutNative;
    test(`on ${strategy} over ${link}, ${depth} at a time`, { skip }, async (t) => {
      if (!needsStrace(t)) return;
      const log = join(await temporaryFolder(t), 'calls');
      const trace = ['-e', `trace=${['openat', ...traced].join(',')}`];
      const environment = await makeEnvironment(t, ['strace', '-D', '-f', '-o', log, ...trace]);
      const targetWorkload = workload(link, 'read-4k', depth);
      const { sample, histogram } = await takeSample(
        (setting) => startOurs({ strategy }, targetWorkload, setting),
        targetWorkload,
        { seconds: 0.2, warmUpSeconds: 0.1 },
        environment,
      );
      assert.ok(histogram !== undefined && sample.systemCallsPerRequest !== null);
      const reported = sample.systemCallsPerRequest * histogram.totalCount;
      const seen = countBetweenCounts(await readFile(log, 'latin1')) - callsOfCounting;
      t.diagnostic(`${histogram.totalCount} requests: reported ${reported}, seen ${seen}`);
      assert.ok(histogram.totalCount > 0);
      assert.ok(Math.abs(reported - seen) <= callsUnsure, `reported ${reported}, seen ${seen}`);
    });
  }
});

/** Calls between the last two times that the server looked at its own counters. */
function countBetweenCounts(log: string): number {
  const looks = [...log.matchAll(/"\/proc\/self\/io"/g)].map(({ index }) => index);
  assert.equal(looks.length, 3);
  const measured = log.slice(looks[1], looks[2]);
  return [...measured.matchAll(new RegExp(`^\\d+ +(?:${traced.join('|')})\\(`, 'gm'))].length;
}
