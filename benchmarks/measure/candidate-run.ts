/**
 * One candidate while it is measured: its server, its load generator, and their
 * counters. Counters are read while no request is in flight, so that all figures
 * are about the same requests.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { WorkerProcess } from './worker-process.js';
import { runFio } from '../candidates/fio.js';
import type { RunningServer, ServerSetting } from '../candidates/running-server.js';
import { cpuMicrosecondsOf } from '../candidates/cpu-time.js';
import type { LoadResponses, LoadPlan, LoadRequest } from '../load/messages.js';
import type { PreSharedKey } from '../place.js';
import type { CpuPinning } from './cpu-pinning.js';
import type { Sample, Workload } from '../results.js';
import type { Counts } from '../server/messages.js';
import { sum } from '../statistics/statistics.js';

export type Start = (setting: ServerSetting) => Promise<RunningServer>;
export type Load = WorkerProcess<LoadRequest, LoadResponses>;

export interface Environment {
  readonly fio: string | undefined;
  /** Ends fio when aborted; the load generator has its own signal. */
  readonly signal: AbortSignal;
  readonly preSharedKey: PreSharedKey;
  readonly keyFolder: string;
  /** Command prefix that starts a process at the other end of the link. */
  readonly prefix: readonly string[];
  readonly host: string;
  /** Processors of nbdcork and its load; undefined if the kernel chooses. */
  readonly pinning: CpuPinning | undefined;
}

export interface Measurement {
  readonly sample: Omit<Sample, 'round'>;
  /** All latencies in nanoseconds. */
  readonly histogram?: Histogram;
}

/** Counters so far; null where unknown. */
interface Counters {
  readonly counts: Counts | undefined;
  readonly cpuMicroseconds: number | null;
}

/** Significant digits of the rate of a turn. */
const turnDigits = 5;

/** The timed part of a turn. */
interface Turn {
  readonly requests: number;
  readonly seconds: number;
}

export class CandidateRun {
  private folder: string | undefined;
  private running: RunningServer | undefined;
  /** Read twice in a row: the difference is the cost of reading. */
  private idle: Counters | undefined;
  private before: Counters | undefined;
  private readonly turns: Turn[] = [];
  private requests = 0;
  private clientMicroseconds = 0;
  private latenciesOfFio: Histogram | undefined;
  private readonly workload: Workload;
  private readonly startServer: Start;
  private readonly load: Load;
  private readonly environment: Environment;

  constructor(workload: Workload, start: Start, load: Load, environment: Environment) {
    this.workload = workload;
    this.startServer = start;
    this.load = load;
    this.environment = environment;
  }

  /** Starts the server. Settles when its disk is filled. */
  async start(): Promise<void> {
    const { keyFolder, prefix, host, signal } = this.environment;
    const { connections, depth, headers, kind, link, load } = this.workload;
    signal.throwIfAborted();
    const usesTls = link === 'unix-tls' || link === 'tcp-tls';
    const preSharedKey = usesTls ? this.environment.preSharedKey : undefined;
    this.folder = await mkdtemp(join(tmpdir(), 'nbdcork-b-'));
    const setting = { folder: this.folder, preSharedKey, keyFolder, prefix, host };
    this.running = await this.startServer(setting);
    await this.open({
      place: this.running.place,
      ...(preSharedKey !== undefined && { preSharedKey }),
      kind,
      connections,
      depth,
      headers: load === 'fio' ? 'simple' : headers,
    });
  }

  /** Moves the server off the processor of its load generator. */
  async pinServer(): Promise<void> {
    await this.environment.pinning?.pinServer(this.started.pid);
  }

  async warmUp(seconds: number): Promise<void> {
    await this.load.request({ type: 'run', seconds }, seconds);
    await this.load.request({ type: 'latencies' });
    // fio connects by itself.
    if (this.workload.load === 'fio') await this.load.request({ type: 'close' });
    this.idle = await this.readCounters();
    this.before = await this.readCounters();
  }

  /** Measures one turn. */
  async measure(seconds: number): Promise<void> {
    if (this.workload.load === 'fio') {
      await this.measureByFio(seconds);
      return;
    }
    const result = await this.load.request({ type: 'run', seconds }, seconds);
    this.requests += result.requests;
    this.turns.push(result.timed);
    this.clientMicroseconds += result.cpuMicroseconds;
  }

  async finish(): Promise<Measurement> {
    const { idle, before, requests } = this;
    if (idle === undefined || before === undefined) throw new Error('Nothing was measured.');
    const after = await this.readCounters();
    const latencies =
      this.latenciesOfFio ??
      decodeFromCompressedBase64(await this.load.request({ type: 'latencies' }));
    await this.load.request({ type: 'close' });
    return {
      sample: {
        requestsPerSecond: rateOf({
          requests: sum(this.turns.map((turn) => turn.requests)),
          seconds: sum(this.turns.map((turn) => turn.seconds)),
        }),
        turns: this.turns.map((turn) => Number(rateOf(turn).toPrecision(turnDigits))),
        clientMicrosecondsPerRequest: this.clientMicroseconds / requests,
        ...(counted(idle.counts, before.counts, after.counts) ?? {
          ...uncounted,
          serverMicrosecondsPerRequest: perRequest(before, after, requests),
        }),
      },
      histogram: latencies,
    };
  }

  /** Stops everything, in any state. */
  async stop(): Promise<void> {
    // The failure of a sample matters more than one of closing.
    await Promise.allSettled([this.load.request({ type: 'close' })]);
    try {
      await this.running?.stop();
    } finally {
      if (this.folder !== undefined) await rm(this.folder, { recursive: true });
    }
  }

  /** If the server exits, its own message is better than a refused connection. */
  private async open(plan: LoadPlan): Promise<void> {
    const { load, running } = this;
    const opened = load.request({ type: 'open', plan });
    try {
      await Promise.race(running?.ended === undefined ? [opened] : [opened, running.ended]);
    } catch (error) {
      // It would keep trying to connect.
      await load.stop();
      throw error;
    }
  }

  private async measureByFio(seconds: number): Promise<void> {
    const { fio = 'fio', signal } = this.environment;
    const { place } = this.started;
    const result = await runFio(fio, place, this.workload, seconds, signal);
    this.requests += result.requests;
    const { requests, requestsPerSecond } = result;
    this.turns.push({ requests, seconds: requests / requestsPerSecond });
    this.clientMicroseconds += result.clientMicrosecondsPerRequest * result.requests;
    this.latenciesOfFio = result.histogram;
  }

  private async readCounters(): Promise<Counters> {
    const { pid, count } = this.started;
    const counts = this.workload.load === 'fio' ? undefined : await count?.();
    return { counts, cpuMicroseconds: cpuMicrosecondsOf(pid) };
  }

  private get started(): RunningServer {
    if (this.running === undefined) throw new Error('Not started.');
    return this.running;
  }
}

type Counted = Pick<
  Sample,
  'systemCallsPerRequest' | 'segmentsPerReply' | 'bytesPerSegment' | 'serverMicrosecondsPerRequest'
>;

const uncounted = { systemCallsPerRequest: null, segmentsPerReply: null, bytesPerSegment: null };

function perRequest(before: Counters, after: Counters, requests: number): number | null {
  const microseconds = difference(before.cpuMicroseconds, after.cpuMicroseconds);
  return microseconds === null ? null : microseconds / requests;
}

/** Between two readings; `idle` to `before` is the cost of reading. */
function counted(
  idle: Counts | undefined,
  before: Counts | undefined,
  after: Counts | undefined,
): Counted | undefined {
  if (idle === undefined || before === undefined || after === undefined) return undefined;
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

function rateOf({ requests, seconds }: Turn): number {
  return requests / seconds;
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}
