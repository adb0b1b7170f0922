/**
 * Checks the benchmark itself. Each repetition measures `plain` against a copy of
 * itself and against one that was slowed down on purpose. Run it on an idle
 * machine with `npm run bench:selfcheck`, optionally with `-- FILE`, which gets the
 * verdicts. It takes some minutes.
 */
import { openSync, writeFileSync } from 'node:fs';
import type { Start } from '../measure/candidate-run.js';
import { startOurs } from '../candidates/ours.js';
import { Loads } from '../measure/loads.js';
import { commit } from '../measure/machine.js';
import { fullTiming, type Timing } from '../measure/plan.js';
import type { Candidate, SelfCheck, Verdict } from '../results.js';
import { nameOfCandidate } from '../names.js';
import { findCpuPinning } from '../measure/cpu-pinning.js';
import { runPlan } from '../measure/run-plan.js';
import { takeSamples } from '../measure/sample.js';
import { workload } from '../workloads.js';

const repetitions = 20;
const rightMin = 19;
/** A read takes about 6 µs on an idle machine. */
const wastedMicroseconds = 10;
const timing: Timing = { ...fullTiming, runs: 8 };

const targetWorkload = workload('unix', 'read-4k', 64);
const candidates: readonly Candidate[] = [
  { type: 'strategy', strategy: 'plain' },
  { type: 'peer', name: 'copy', version: '' },
  { type: 'peer', name: 'slowed', version: '' },
];
const expected: Readonly<Record<string, Verdict>> = {
  copy: 'no difference shown',
  slowed: 'slower',
};

function startOf(candidate: Candidate): Start {
  const isSlow = nameOfCandidate(candidate) === 'slowed';
  const options = { strategy: 'plain', ...(isSlow && { wastedMicroseconds }) } as const;
  return (setting) => startOurs(options, targetWorkload, setting);
}

async function repeat(): Promise<Map<string, Verdict>> {
  const { signal } = new AbortController();
  const { trials, skipped } = await runPlan([{ workload: targetWorkload, candidates }], {
    timing,
    progress: () => undefined,
    signal,
    take: (_, entered, sampleTiming) => {
      const next = loads.deal(entered.length);
      return takeSamples(
        targetWorkload,
        entered.map((candidate) => ({ start: startOf(candidate), load: next(), isOurs: true })),
        sampleTiming,
        {
          fio: undefined,
          signal,
          preSharedKey: { identity: '', keyHex: '' },
          keyFolder: '',
          prefix: [],
          host: '127.0.0.1',
          pinning,
        },
      );
    },
  });
  for (const { what, why } of skipped) throw new Error(`${what}: ${why}`);
  return new Map(
    trials.flatMap(({ candidate, gain }) =>
      gain === null ? [] : [[nameOfCandidate(candidate), gain.verdict]],
    ),
  );
}

const [, , path] = process.argv;
// Opened first, so that an error shows at once.
const output = path === undefined ? undefined : openSync(path, 'w');
const all: Map<string, Verdict>[] = [];
const pinning = findCpuPinning();
const loads = new Loads(pinning?.loadPrefix ?? []);
try {
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    const verdicts = await repeat();
    all.push(verdicts);
    const words = [...verdicts].map(([name, verdict]) => `${name}: ${verdict}`);
    console.log(`${repetition} of ${repetitions}: ${words.join(', ')}`);
  }
} finally {
  await loads.stop();
}
if (output !== undefined) {
  const found: SelfCheck = {
    commit: commit(),
    verdicts: all.map((one) => Object.fromEntries(one)),
  };
  writeFileSync(output, `${JSON.stringify(found, null, 2)}\n`);
}
for (const [name, verdict] of Object.entries(expected)) {
  const count = all.filter((one) => one.get(name) === verdict).length;
  console.log(`${name}: '${verdict}' in ${count} of ${repetitions}`);
  if (count < rightMin) process.exitCode = 1;
}
