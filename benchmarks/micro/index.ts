/** The cost of the smallest parts: calls of the addon, codecs, the fallback. */
import { addon } from '../../lib/native/load.js';
import type { MicroTrial, Skipped } from '../results.js';
import type { Progress } from '../measure/run-plan.js';
import { codecSubjects } from './codecs.js';
import { MicroSeries } from './measure.js';
import { nativeSubjects } from './native.js';
import { tcpPair, unixPair } from './sockets.js';
import { transportSubjects } from './transports.js';

/** One to find out how long a batch has to be and to warm up, and twenty that count. */
const rounds = 21;

export interface MicroOptions {
  readonly folder: string;
  readonly progress: (progress: Progress) => void;
  /** Aborted, nothing is said. */
  readonly signal: AbortSignal;
}

export interface MicroMeasured {
  readonly micro: readonly MicroTrial[];
  readonly skipped: readonly Skipped[];
}

/** Subjects take turns, so that drift favours none. */
export async function runMicro(options: MicroOptions): Promise<MicroMeasured> {
  const { folder } = options;
  const [tcp, unix] = [await tcpPair(), await unixPair(folder)];
  const native =
    addon === undefined ? undefined : await nativeSubjects(addon, folder, { tcp, unix });
  try {
    const series = [
      ...(native?.subjects ?? []),
      ...transportSubjects(unix, addon !== undefined),
      ...codecSubjects(),
    ].map((subject) => new MicroSeries(subject));
    if (!(await measureAll(series, options))) return { micro: [], skipped: [] };
    return {
      micro: series.map(({ trial }) => trial).filter((trial) => trial !== null),
      skipped: series.flatMap(({ name, failure }) =>
        failure === undefined ? [] : [{ what: name, why: failure }],
      ),
    };
  } finally {
    await native?.close();
    tcp.close();
    unix.close();
  }
}

/** False where it was stopped. */
async function measureAll(
  series: readonly MicroSeries[],
  { progress, signal }: MicroOptions,
): Promise<boolean> {
  const start = performance.now();
  for (let step = 0; step < rounds * series.length; step++) {
    const one = series[step % series.length];
    if (one === undefined || signal.aborted) return false;
    const done = step / (rounds * series.length);
    const seconds = (performance.now() - start) / 1000;
    if (step > 0) progress({ done, secondsLeft: seconds / done - seconds, what: one.name });
    await one.measure();
  }
  return true;
}
