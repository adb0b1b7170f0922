/**
 * The load: a process of its own, so that what it costs is not taken for the
 * server's. It handles the requests of the process that runs the benchmark.
 */
import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { respond, exitWithParent } from '../measure/worker-process.js';
import { Connection } from './connection.js';
import type { LoadPlan, LoadRequest, LoadResult } from './messages.js';
import type { Session } from './session.js';

/** Nanoseconds, to three digits, up to a minute. */
const latency = build({ highestTrackableValue: 60e9, numberOfSignificantValueDigits: 3 });

let connections: Connection[] = [];
let sessions: Session[] = [];

async function open(plan: LoadPlan): Promise<void> {
  // The first one fills the disk, and in time for the others.
  for (let number = 0; number < plan.connections; number++) {
    const connection = new Connection();
    connections.push(connection);
    sessions.push(await connection.open(plan, latency, number));
  }
}

async function run(seconds: number): Promise<LoadResult> {
  const before = process.resourceUsage();
  const start = performance.now();
  const until = start + seconds * 1000;
  await Promise.race([
    Promise.all(sessions.map((session) => session.run(until))),
    ...connections.map(({ failed }) => failed),
  ]);
  const end = performance.now();
  const after = process.resourceUsage();
  return {
    requests: sessions.reduce((sum, { requests }) => sum + requests, 0),
    seconds: (end - start) / 1000,
    timed: timedSince(start),
    cpuMicroseconds:
      after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime,
  };
}

/** Each connection has its own end, and so its own speed. */
function timedSince(start: number): LoadResult['timed'] {
  const requests = sessions.reduce((sum, { requestsTimed }) => sum + requestsTimed, 0);
  const speed = sessions.reduce(
    (sum, { requestsTimed, timedUntil }) => sum + (requestsTimed * 1000) / (timedUntil - start),
    0,
  );
  return { requests, seconds: requests / speed };
}

/** Takes milliseconds, so it has a request of its own. */
function latencies(): string {
  const encoded = encodeIntoCompressedBase64(latency);
  latency.reset();
  return encoded;
}

async function close(): Promise<void> {
  const closing = connections;
  connections = [];
  sessions = [];
  await Promise.all(closing.map((connection) => connection.close()));
}

function handle(request: LoadRequest): unknown {
  switch (request.type) {
    case 'open':
      return open(request.plan).catch(async (error: unknown) => {
        await close();
        throw error;
      });
    case 'run':
      return run(request.seconds);
    case 'latencies':
      return latencies();
    case 'close':
      return close();
  }
}

exitWithParent();
process.on('message', (request: LoadRequest) => void respond(() => handle(request)));
