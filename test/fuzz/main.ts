/** The long mode: `npm run fuzz -- --minutes N`. See CONTRIBUTING.md. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { commandFor, Fuzzer, type Defect, type Seed } from './fuzz.js';
import { listeningWorld } from './world.js';

const casesPerRound = 100;
const progressMs = 10_000;
const minuteMs = 60_000;
/** Of the heap at the end to that after the first minute. */
const ratioMax = 1.2;
const seedMax = 2 ** 31 - 1;

interface Options extends Partial<Seed> {
  readonly minutes: number;
}

const program = new Command('npm run fuzz --')
  .description('Send the server everything that a client could, and judge what it answers.')
  .option('--minutes <n>', 'how long', positive, 1)
  .option('--seed <n>', 'begin with the cases of this seed; a random one unless given', positive)
  .option('--path <path>', 'only the one case of the seed that a failure has named')
  .parse();

const options = program.opts<Options>();
const folder = await mkdtemp(join(tmpdir(), 'nbdcork-fuzz-'));
const fuzzer = new Fuzzer(() => listeningWorld(folder));
try {
  process.exitCode = options.path === undefined ? await fuzz(options) : await repeat(options.path);
  await fuzzer.close();
} finally {
  await rm(folder, { recursive: true });
}
// What a case that failed has left behind must not keep the process.
if (process.exitCode !== 0) process.exit();

/** The exit status. */
async function fuzz({ minutes, seed: first }: Options): Promise<number> {
  const start = performance.now();
  const end = start + minutes * minuteMs;
  const firstHeapAt = Math.min(start + minuteMs, (start + end) / 2);
  let seed = first ?? Math.floor(Math.random() * seedMax);
  let firstHeap: number | undefined;
  let nextProgress = start + progressMs;
  console.log(`fuzzing for ${minutes} min from the seed ${seed} on`);
  for (let now = start; now < end; now = performance.now()) {
    const defect = await fuzzer.round({ seed }, casesPerRound);
    if (defect !== undefined) return failed(defect);
    seed = (seed % seedMax) + 1;
    if (now >= firstHeapAt) firstHeap ??= await collectedHeap();
    if (now < nextProgress) continue;
    nextProgress = now + progressMs;
    const seconds = Math.round((now - start) / 1000);
    console.log(`${seconds} s: ${fuzzer.streams} streams, heap ${mebibytes(heap())}`);
  }
  const lastHeap = await collectedHeap();
  const ratio = lastHeap / (firstHeap ?? lastHeap);
  console.log(`streams tried:               ${fuzzer.streams}`);
  console.log(`heap after the first minute: ${mebibytes(firstHeap ?? lastHeap)}`);
  console.log(`heap at the end:             ${mebibytes(lastHeap)}`);
  console.log(`ratio:                       ${ratio.toFixed(3)}, at most ${ratioMax}`);
  console.log(`resident at the end:         ${mebibytes(process.memoryUsage.rss())}`);
  return ratio > ratioMax ? 1 : 0;
}

async function repeat(path: string): Promise<number> {
  const { seed } = options;
  if (seed === undefined) return program.error('error: --path is of no use without --seed');
  const defect = await fuzzer.round({ seed, path }, 1);
  if (defect !== undefined) return failed(defect);
  console.log('the case is well now');
  return 0;
}

function failed(defect: Defect): number {
  console.error(`FAILED after ${fuzzer.streams} streams\n${defect.report}`);
  console.error(`\nrepeat it with: ${commandFor(defect)}`);
  return 1;
}

/** Of JavaScript and of the buffers that it has outside. */
function heap(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What is left after garbage was collected, and what it had outside, too. */
async function collectedHeap(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    if (global.gc === undefined) return program.error('error: start node with --expose-gc');
    global.gc();
    await setImmediate();
  }
  return heap();
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function positive(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}
