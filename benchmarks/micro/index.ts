/** The cost of the smallest parts: calls of the addon, codecs, the fallback. */
import { addon } from '../../lib/native/load.js';
import type { MicroTrial } from '../results.js';
import { codecSubjects } from './codecs.js';
import { MicroSeries } from './measure.js';
import { nativeSubjects } from './native.js';
import { tcpPair, unixPair } from './sockets.js';
import { transportSubjects } from './transports.js';

/** One to find out how long a batch has to be, and ten that are averaged. */
const rounds = 11;

/** Subjects take turns, so that drift favours none. Aborted, it says nothing. */
export async function runMicro(folder: string, signal: AbortSignal): Promise<MicroTrial[]> {
  const [tcp, unix] = [await tcpPair(), await unixPair(folder)];
  const native =
    addon === undefined ? undefined : await nativeSubjects(addon, folder, { tcp, unix });
  try {
    const series = [
      ...(native?.subjects ?? []),
      ...transportSubjects(unix, addon !== undefined),
      ...codecSubjects(),
    ].map((subject) => new MicroSeries(subject));
    for (let round = 0; round < rounds; round++) {
      for (const one of series) {
        if (signal.aborted) return [];
        await one.measure();
      }
    }
    return series.map(({ trial }) => trial);
  } finally {
    await native?.close();
    tcp.close();
    unix.close();
  }
}
