/** A run of the benchmark, from the words of the command line to the results. */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, statSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf, NbdError } from '../../lib/errors.js';
import { findCandidates, type Candidates } from '../candidates/index.js';
import { findProgram } from '../candidates/programs.js';
import { whyNothing } from '../exclusions.js';
import { latencyPercentiles } from '../statistics/latency.js';
import { Loads } from './loads.js';
import { commit, describeMachine, packageVersion } from './machine.js';
import { runMicro, type MicroMeasured } from '../micro/index.js';
import { fullTiming, usualTiming, type Timing } from './plan.js';
import type { PreSharedKey } from '../place.js';
import { findCpuPinning, type CpuPinning } from './cpu-pinning.js';
import type { Results, Skipped } from '../results.js';
import { runPlan, type Measured, type Progress } from './run-plan.js';
import { takeSamples, type CandidateSetup } from './sample.js';
import { Selection } from '../selection.js';
import { makeVeth, type Veth } from './veth.js';
import { forFio } from '../workloads.js';

export interface BenchOptions {
  /** What is measured: see selection.ts. */
  readonly words: readonly string[];
  readonly all: boolean;
  readonly load: 'nbdcork' | 'fio';
  readonly runs?: number;
  /** Of each sample. */
  readonly seconds?: number;
  /** Path of the server of `--limit`. */
  readonly limit?: string;
  /** The command line, for the report. */
  readonly command: string;
  readonly progress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

/**
 * Measure.
 * @throws NbdError `NBDCORK_BAD_SELECTION` for words that choose nothing,
 *   `NBDCORK_BENCH` where something that is needed fails.
 */
export async function bench(options: BenchOptions): Promise<Results> {
  const startedAt = new Date();
  const selection = new Selection(options.words, options.all, options.limit !== undefined);
  if (selection.namesLimit && options.limit === undefined) {
    throw new NbdError('NBDCORK_BAD_SELECTION', "'limit' requires --limit PATH.");
  }
  if (options.limit !== undefined) checkProgram(options.limit);
  const found = options.load === 'fio' ? forFio(selection.workloads) : selection.workloads;
  if (found.length === 0 && !selection.wantsMicro) {
    throw nothingToMeasure(whyNothing(selection.hasOnly, options.load));
  }
  const skipped: Skipped[] = [];
  const fio = options.load === 'fio' ? findFio() : undefined;
  const timing = timingOf(options);
  // fio is not pinned: it shows an independent load as it is.
  const pinning = options.load === 'fio' ? undefined : findCpuPinning();
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-b-'));
  const veth = found.some(({ link }) => link === 'veth') ? tryVeth(skipped) : undefined;
  const workloads = found.filter(({ link }) => link !== 'veth' || veth !== undefined);
  let measured: Measured;
  let alone: MicroMeasured = { micro: [], skipped: [] };
  try {
    const candidates = findCandidates(workloads, selection, options.limit);
    skipped.push(...candidates.skipped);
    if (found.length > 0 && !remains(candidates, selection)) {
      throw nothingToMeasure(skipped.map(({ what, why }) => `${what}: ${why}`));
    }
    measured = await measure(candidates, selection, {
      ...options,
      folder,
      veth,
      fio,
      timing,
      pinning,
    });
    if (selection.wantsMicro && !measured.interrupted) {
      alone = await runMicro({ ...options, folder });
    }
  } finally {
    veth?.remove();
    await rm(folder, { recursive: true });
  }
  return {
    schema: 4,
    version: packageVersion(),
    commit: commit(),
    command: options.command,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    machine: describeMachine(fio),
    processors:
      pinning === undefined || measured.trials.length === 0
        ? null
        : { servers: pinning.servers, load: pinning.load },
    timing: {
      seconds: timing.seconds,
      warmUpSeconds: timing.warmUpSeconds,
      rounds: measured.rounds,
    },
    latencyPercentiles,
    interrupted: measured.interrupted || options.signal.aborted,
    trials: measured.trials,
    comparisons: measured.comparisons,
    micro: alone.micro,
    skipped: [...skipped, ...measured.skipped, ...alone.skipped],
  };
}

function nothingToMeasure(reasons: readonly string[]): NbdError {
  const why = reasons.length === 0 ? 'the words exclude each other' : reasons.join('; ');
  return new NbdError(
    'NBDCORK_BAD_SELECTION',
    `Nothing to measure: ${why}. Use fewer or other words.`,
  );
}

/** Whether there is something to measure; if candidates were named, one of them. */
function remains({ rows }: Candidates, selection: Selection): boolean {
  if (!selection.namesCandidates) return rows.length > 0 || selection.wantsMicro;
  return rows.some(({ candidates }) => candidates.some((one) => selection.names(one)));
}

/** Checked before anything is measured. */
function checkProgram(path: string): void {
  try {
    accessSync(path, constants.X_OK);
    if (!statSync(path).isFile()) throw new Error(`${path} is not a file`);
  } catch (cause) {
    throw new NbdError(
      'NBDCORK_BENCH',
      `The server of --limit cannot be run: ${messageOf(cause)}. Give the path of a program.`,
      cause,
    );
  }
}

interface MeasureOptions extends BenchOptions {
  readonly folder: string;
  readonly veth: Veth | undefined;
  /** The path of fio, where it is the load. */
  readonly fio: string | undefined;
  readonly timing: Timing;
  /** Where ours run. */
  readonly pinning: CpuPinning | undefined;
}

function findFio(): string {
  const fio = findProgram('fio');
  if (fio !== undefined) return fio;
  throw new NbdError('NBDCORK_BENCH', 'fio is not installed. Install it, or use --load nbdcork.');
}

async function measure(
  { rows, start }: Candidates,
  selection: Selection,
  options: MeasureOptions,
): Promise<Measured> {
  if (rows.length === 0) {
    return { trials: [], comparisons: [], skipped: [], rounds: 0, interrupted: false };
  }
  const { folder, veth, fio, timing, signal, pinning } = options;
  const preSharedKey = await writeKey(folder);
  const loads = new Loads(pinning?.loadPrefix ?? [], signal);
  // Other servers may have threads, so the kernel places them and their load.
  const loadsOfOthers = new Loads([], signal);
  try {
    return await runPlan(rows, {
      timing,
      progress: options.progress,
      signal,
      isNamed: (candidate) => selection.names(candidate),
      take: (workload, candidates, sampleTiming) => {
        const far = workload.link === 'veth' ? veth : undefined;
        const ours = candidates.filter(({ type }) => type === 'strategy').length;
        const [nextOfOurs, nextOfOthers] = [
          loads.deal(ours),
          loadsOfOthers.deal(candidates.length - ours),
        ];
        return takeSamples(
          workload,
          candidates.map((candidate): CandidateSetup => {
            const isOurs = candidate.type === 'strategy';
            const load = isOurs ? nextOfOurs() : nextOfOthers();
            return { start: start(workload, candidate), load, isOurs };
          }),
          sampleTiming,
          {
            fio,
            signal,
            preSharedKey,
            keyFolder: folder,
            prefix: far?.prefix ?? [],
            host: far?.host ?? '127.0.0.1',
            pinning,
          },
        );
      },
    });
  } finally {
    await Promise.all([loads.stop(), loadsOfOthers.stop()]);
  }
}

function timingOf({ all, runs, seconds }: BenchOptions): Timing {
  const usual = all ? fullTiming : usualTiming;
  return {
    ...usual,
    ...(seconds !== undefined && { seconds }),
    // An explicit count is not reduced to fit the time.
    ...(runs !== undefined && { runs, secondsMax: undefined }),
  };
}

function tryVeth(skipped: Skipped[]): Veth | undefined {
  try {
    return makeVeth();
  } catch (error) {
    skipped.push({ what: 'veth', why: messageOf(error) });
    return undefined;
  }
}

/** Generates a key for this run, and the key file for other servers. */
async function writeKey(folder: string): Promise<PreSharedKey> {
  const key = { identity: 'bench', keyHex: randomBytes(32).toString('hex') };
  const path = join(folder, 'keys.psk');
  await writeFile(path, `${key.identity}:${key.keyHex}\n`);
  await chmod(path, 0o600);
  return key;
}
