/** Results as a run would bring them, made up: small enough to be followed by hand. */
import { averagesOf } from '../../statistics/averages.js';
import type { Candidate, Gain, Results, Sample, Strategy, Trial, Workload } from '../../results.js';

export const workload: Workload = {
  link: 'tcp',
  kind: 'read-4k',
  connections: 1,
  depth: 64,
  headers: 'simple',
  load: 'nbdcork',
};

export function ours(strategy: Strategy): Candidate {
  return { type: 'strategy', strategy };
}

const nbdkit: Candidate = { type: 'peer', name: 'nbdkit', version: '1.42.3' };

export function sample(requestsPerSecond: number, more: Partial<Sample> = {}): Sample {
  return {
    round: 0,
    requestsPerSecond,
    turns: [requestsPerSecond],
    systemCallsPerRequest: null,
    segmentsPerReply: null,
    bytesPerSegment: null,
    serverMicrosecondsPerRequest: null,
    clientMicrosecondsPerRequest: null,
    ...more,
  };
}

export function trial(candidate: Candidate, more: Partial<Trial> = {}): Trial {
  const { samples = [sample(50_000), sample(52_000), sample(51_000)] } = more;
  return {
    workload,
    candidate,
    samples,
    averages: averagesOf(samples),
    latencyMicroseconds: null,
    latencyCurve: [],
    gain: null,
    ...more,
  };
}

const plain = trial(ours('plain'), {
  samples: [
    sample(40_100, { systemCallsPerRequest: 3.02, segmentsPerReply: 2, bytesPerSegment: 2056 }),
    sample(41_300, { systemCallsPerRequest: 3.04, segmentsPerReply: 2, bytesPerSegment: 2056 }),
  ],
  latencyMicroseconds: { p50: 1571, p99: 2230, p999: 4410 },
  latencyCurve: [1570, 1990, 2230, 4410],
});

const gain: Gain = {
  average: 0.853,
  worst: 0.792,
  best: 0.917,
  low: 0.821,
  high: 0.884,
  verdict: 'faster',
};

const batched = trial(ours('batched'), {
  samples: [
    sample(74_300, {
      systemCallsPerRequest: 0.0613,
      segmentsPerReply: 0.0625,
      bytesPerSegment: 64_896,
      serverMicrosecondsPerRequest: 9.87,
      clientMicrosecondsPerRequest: 6.54,
    }),
    sample(76_600, {
      systemCallsPerRequest: 0.0613,
      segmentsPerReply: 0.0625,
      bytesPerSegment: 64_898,
      serverMicrosecondsPerRequest: 9.89,
      clientMicrosecondsPerRequest: 6.58,
    }),
  ],
  latencyMicroseconds: { p50: 833, p99: 1290, p999: 3080 },
  latencyCurve: [833, 1010, 1290],
  gain,
});

const cork = trial(ours('cork'), {
  samples: [sample(36_400), sample(36_000)],
  gain: {
    average: -0.111,
    worst: -0.143,
    best: -0.092,
    low: -0.128,
    high: -0.094,
    verdict: 'slower',
  },
});

const shallow: Workload = { ...workload, link: 'unix', depth: 1 };

export const results: Results = {
  schema: 4,
  version: '0.1.0',
  commit: '4dadb43',
  command: 'nbdcork-bench tcp',
  startedAt: '2026-11-23T08:15:30.000Z',
  seconds: 171.4,
  machine: {
    processor: 'Example CPU @ 2.10GHz',
    cores: 2,
    memoryBytes: 24 * 2 ** 30,
    kernel: '6.12.9',
    node: 'v20.19.5',
    openssl: '3.0.17',
    fio: null,
  },
  processors: { servers: [0], load: 1 },
  timing: { seconds: 0.25, warmUpSeconds: 0.1, rounds: 2 },
  latencyPercentiles: [50, 95, 99, 99.9, 99.99],
  interrupted: false,
  // Out of order: the report puts rows and columns into theirs.
  trials: [
    batched,
    plain,
    trial(nbdkit, { samples: [sample(45_270)] }),
    cork,
    trial(ours('plain'), { workload: shallow, samples: [sample(21_900), sample(22_100)] }),
    trial(ours('batched'), {
      workload: shallow,
      samples: [sample(22_300), sample(21_800)],
      gain: { ...gain, average: 0.002, low: -0.013, high: 0.017, verdict: 'no difference shown' },
    }),
  ],
  comparisons: [
    {
      workload,
      of: 'batched',
      over: 'nbdkit',
      gain: { ...gain, average: 0.667, low: 0.642, high: 0.691 },
    },
  ],
  micro: [
    { name: 'sendmsg', pieces: 16, nanosecondsPerCall: 2184, nanosecondsError: 37.2 },
    {
      name: 'encode a simple reply',
      pieces: null,
      nanosecondsPerCall: 38.7,
      nanosecondsError: 1.9,
    },
  ],
  skipped: [{ what: 'veth', why: 'network namespaces need root' }],
};
