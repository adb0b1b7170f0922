/** The long mode: `npm run fuzz -- --minutes N`. See CONTRIBUTING.md. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { commandFor, Fuzzer, type Defect, type Seed } from './fuzz.js';
import { startTarget } from './target.js';

const casesPerRound = 100;
const progressMs = 10_000;
const minuteMs = 60_000;
/** Of the heap's size at the end to that after the first minute. */
const ratioMax = 1.2;
const seedMax = 2 ** 31 - 1;

interface Options extends Partial<Seed> {
  readonly minutes: number;
}

const program = new Command('npm run fuzz --')
  .description(
    'Send random, mutated and spliced streams to the server, and check every byte of its replies.',
  )
  .option('--minutes <n>', 'duration', positive, 1)
  .option('--seed <n>', 'first seed (default: random)', positive)
  .option('--path <path>', 'run only this case of the seed')
  .parse();

const options = program.opts<Options>();
const folder = await mkdtemp(join(tmpdir(), 'nbdcork-fuzz-'));
const fuzzer = new Fuzzer(() => startTarget(folder));
try {
  process.exitCode = options.path === undefined ? await fuzz(options) : await repeat(options.path);
  await fuzzer.close();
} finally {
  await rm(folder, { recursive: true });
}
// A failed case may have left handles that would keep the process alive.
if (process.exitCode !== 0) process.exit();

/** Returns the exit status. */
async function fuzz({ minutes, seed: first }: Options): Promise<number> {
  const start = performance.now();
  const end = start + minutes * minuteMs;
  const firstHeapAt = Math.min(start + minuteMs, (start + end) / 2);
  let seed = first ?? Math.floor(Math.random() * seedMax);
  let firstHeap: number | undefined;
  let nextProgress = start + progressMs;
  console.log(`fuzzing for ${minutes} min, first seed ${seed}`);
  for (let now = start; now < end; now = performance.now()) {
    const defect = await fuzzer.runSeed({ seed }, casesPerRound);
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
  console.log(`streams sent:                ${fuzzer.streams}`);
  console.log(`heap after the first minute: ${mebibytes(firstHeap ?? lastHeap)}`);
  console.log(`heap at the end:             ${mebibytes(lastHeap)}`);
  console.log(`ratio:                       ${ratio.toFixed(3)}, at most ${ratioMax}`);
  console.log(`resident at the end:         ${mebibytes(process.memoryUsage.rss())}`);
  return ratio > ratioMax ? 1 : 0;
}

async function repeat(path: string): Promise<number> {
  const { seed } = options;
  if (seed === undefined) return program.error('error: --path requires --seed');
  const defect = await fuzzer.runSeed({ seed, path }, 1);
  if (defect !== undefined) return failed(defect);
  console.log('the case passes');
  return 0;
}

function failed(defect: Defect): number {
  console.error(`FAILED after ${fuzzer.streams} streams\n${defect.report}`);
  console.error(`\nrepeat with: ${commandFor(defect)}`);
  return 1;
}

/** Bytes of the JavaScript heap and of buffers outside it. */
function heap(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The same after garbage collection. Memory outside the heap takes more than one. */
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
  throw new InvalidArgumentError('It must be a positive number.');
}
