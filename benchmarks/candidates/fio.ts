/** fio with its nbd engine: a load that is not ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { build, type Histogram } from 'hdr-histogram-js';
import { NbdError } from '../../lib/errors.js';
import { formatUri } from '../../lib/wire/uri.js';
import { diskBytes, exportName } from '../disk.js';
import { shapes } from '../load/requests.js';
import type { Place } from '../place.js';
import type { Workload } from '../results.js';
import { lastLines } from './programs.js';

export interface FioResult {
  readonly requestsPerSecond: number;
  readonly requests: number;
  readonly clientMicrosecondsPerRequest: number;
  /** In nanoseconds, of bins that are 1.6 % wide. */
  readonly histogram: Histogram;
}

/** What is used here of fio's JSON, for reads and writes together. */
interface Direction {
  readonly iops: number;
  readonly total_ios: number;
  /** How many requests are in the bin around so many nanoseconds. */
  readonly clat_ns: { readonly bins: Readonly<Record<string, number>> };
}
interface Output {
  readonly jobs: readonly {
    readonly mixed: Direction;
    readonly error: number;
    readonly usr_cpu: number;
    readonly sys_cpu: number;
    readonly job_runtime: number;
  }[];
}

/** @throws the signal's reason where it was aborted; fio is gone by then. */
export async function runFio(
  path: string,
  place: Place,
  { kind, depth, connections }: Workload,
  seconds: number,
  signal: AbortSignal,
): Promise<FioResult> {
  if (place.type === 'pipes') throw new NbdError('NBDCORK_BENCH', 'fio cannot use pipes.');
  const { lengthBytes, command } = shapes[kind];
  const args = [
    ...['--name=bench', '--ioengine=nbd', `--uri=${formatUri(place, exportName)}`],
    ...[`--rw=${command === 'mixed' ? 'randrw' : 'randread'}`, `--bs=${lengthBytes}`],
    ...[`--iodepth=${depth}`, `--numjobs=${connections}`, `--size=${diskBytes}`],
    ...['--group_reporting', '--time_based', `--runtime=${Math.round(seconds * 1000)}ms`],
    // Jobs that are processes leave fio's group, and would go on where it is killed.
    '--thread',
    ...['--norandommap', '--unified_rw_reporting=1', '--output-format=json+'],
  ];
  const { status, output, problems } = await finish(path, args, signal);
  const start = output.indexOf('{');
  if (status !== 0 || start < 0) throw failed(`it ended with ${status}`, problems);
  const [job] = (JSON.parse(output.slice(start)) as Output).jobs;
  if (job === undefined) throw failed('it ran no job', problems);
  if (job.error !== 0) throw failed(`its job failed with ${job.error}`, problems);
  const { iops, total_ios: requests } = job.mixed;
  if (requests === 0) throw failed('it had no reply', problems);
  const busyMilliseconds = (job.job_runtime * (job.usr_cpu + job.sys_cpu)) / 100;
  return {
    requestsPerSecond: iops,
    requests,
    clientMicrosecondsPerRequest: (busyMilliseconds * 1000) / requests,
    histogram: histogramOf(job.mixed),
  };
}

async function finish(path: string, args: readonly string[], signal: AbortSignal) {
  signal.throwIfAborted();
  const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  try {
    const [[status], output, problems] = await Promise.all([
      once(child, 'close') as Promise<[number | null]>,
      text(child.stdout),
      text(child.stderr),
    ]);
    signal.throwIfAborted();
    return { status, output, problems };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function failed(what: string, problems: string): NbdError {
  return new NbdError('NBDCORK_BENCH', `fio cannot be the load: ${what}. ${lastLines(problems)}`);
}

function histogramOf({ clat_ns: { bins } }: Direction): Histogram {
  const histogram = build({ highestTrackableValue: 60e9, numberOfSignificantValueDigits: 3 });
  for (const [nanoseconds, count] of Object.entries(bins)) {
    histogram.recordValueWithCount(Number(nanoseconds), count);
  }
  return histogram;
}
