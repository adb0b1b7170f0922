/**
 * One sample: a server is started for it, filled, warmed up, measured and
 * stopped. Caller: run.ts. What server and load have to tell is asked for while
 * nothing is in progress, so that every figure is about the same requests.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { Asked } from './ask.js';
import { runFio } from './contenders/fio.js';
import type { Running, Setting } from './contenders/running.js';
import { cpuMicrosecondsOf } from './contenders/time.js';
import type { LoadAnswers, LoadPlan, LoadQuestion } from './load/messages.js';
import type { Timing } from './plan.js';
import type { PreSharedKey } from './place.js';
import type { Sample, Workload } from './results.js';
import type { Counts } from './server/messages.js';

export type Start = (setting: Setting) => Promise<Running>;

export interface Means {
  readonly load: Asked<LoadQuestion, LoadAnswers>;
  readonly fio: string | undefined;
  /** Aborted, fio is ended; the load has one of its own. */
  readonly signal: AbortSignal;
  readonly preSharedKey: PreSharedKey;
  readonly keyFolder: string;
  /** How to be at the other end of each link. */
  readonly prefix: readonly string[];
  readonly host: string;
}

export interface Taken {
  readonly sample: Sample;
  /** All latencies in nanoseconds. */
  readonly histogram?: Histogram;
}

export async function takeSample(
  start: Start,
  workload: Workload,
  timing: Pick<Timing, 'seconds' | 'warmUpSeconds'>,
  means: Means,
): Promise<Taken> {
  const usesTls = workload.link === 'unix-tls' || workload.link === 'tcp-tls';
  const preSharedKey = usesTls ? means.preSharedKey : undefined;
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-b-'));
  try {
    const { keyFolder, prefix, host } = means;
    const running = await start({ folder, preSharedKey, keyFolder, prefix, host });
    try {
      const plan: LoadPlan = {
        place: running.place,
        ...(preSharedKey !== undefined && { preSharedKey }),
        kind: workload.kind,
        connections: workload.connections,
        depth: workload.depth,
        headers: workload.load === 'fio' ? 'simple' : workload.headers,
      };
      await open(means.load, plan, running);
      const measured = workload.load === 'fio' ? measureFio : measure;
      const taken = await measured(running, workload, timing, means);
      await means.load.ask({ type: 'close' });
      return taken;
    } finally {
      await running.stop();
    }
  } catch (error) {
    // Why there is no sample is worth more than why it cannot be cleared away.
    await Promise.allSettled([means.load.ask({ type: 'close' })]);
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What the server says as it ends tells more than that nobody listens. */
async function open(load: Means['load'], plan: LoadPlan, { ended }: Running): Promise<void> {
  const opened = load.ask({ type: 'open', plan });
  try {
    await Promise.race(ended === undefined ? [opened] : [opened, ended]);
  } catch (error) {
    // It would go on trying to connect.
    await load.stop();
    throw error;
  }
}

async function measure(
  running: Running,
  _: Workload,
  { seconds, warmUpSeconds }: Pick<Timing, 'seconds' | 'warmUpSeconds'>,
  { load }: Means,
): Promise<Taken> {
  await load.ask({ type: 'run', seconds: warmUpSeconds }, warmUpSeconds);
  const idle = await running.count?.();
  const before = await running.count?.();
  const cpuBefore = cpuMicrosecondsOf(running.pid);
  const result = await load.ask({ type: 'run', seconds }, seconds);
  const cpuAfter = cpuMicrosecondsOf(running.pid);
  const after = await running.count?.();
  const { requests } = result;
  const cpu = cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore;
  return {
    sample: {
      requestsPerSecond: requests / result.seconds,
      clientMicrosecondsPerRequest: result.cpuMicroseconds / requests,
      ...(idle === undefined || before === undefined || after === undefined
        ? { ...uncounted, serverMicrosecondsPerRequest: cpu === null ? null : cpu / requests }
        : counted(idle, before, after)),
    },
    histogram: decodeFromCompressedBase64(result.latency),
  };
}

async function measureFio(
  { pid, place }: Running,
  workload: Workload,
  { seconds, warmUpSeconds }: Pick<Timing, 'seconds' | 'warmUpSeconds'>,
  { load, fio = 'fio', signal }: Means,
): Promise<Taken> {
  // Our load has filled the disk, and warms the server up as well.
  await load.ask({ type: 'run', seconds: warmUpSeconds }, warmUpSeconds);
  await load.ask({ type: 'close' });
  const cpuBefore = cpuMicrosecondsOf(pid);
  const result = await runFio(fio, place, workload, seconds, signal);
  const cpuAfter = cpuMicrosecondsOf(pid);
  const cpu = cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore;
  const { requestsPerSecond, clientMicrosecondsPerRequest, requests, histogram } = result;
  return {
    sample: {
      requestsPerSecond,
      clientMicrosecondsPerRequest,
      ...uncounted,
      serverMicrosecondsPerRequest: cpu === null ? null : cpu / requests,
    },
    histogram,
  };
}

const uncounted = { systemCallsPerRequest: null, segmentsPerReply: null, bytesPerSegment: null };

/** Between two counts; what counting itself costs lies between `idle` and `before`. */
function counted(
  idle: Counts,
  before: Counts,
  after: Counts,
): Omit<Sample, 'requestsPerSecond' | 'clientMicrosecondsPerRequest'> {
  const replies = after.replies - before.replies;
  const own = difference(idle.systemCalls, before.systemCalls);
  const all = difference(before.systemCalls, after.systemCalls);
  const segments = difference(before.segments, after.segments);
  const bytes = difference(before.segmentBytes, after.segmentBytes);
  return {
    systemCallsPerRequest: own === null || all === null ? null : (all - own) / replies,
    segmentsPerReply: segments === null ? null : segments / replies,
    bytesPerSegment: segments === null || bytes === null ? null : bytes / segments,
    serverMicrosecondsPerRequest: (after.cpuMicroseconds - before.cpuMicroseconds) / replies,
  };
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}
