/** The cost of the smallest parts: calls of the addon, codecs, the fallback. */
import { addon } from '../../lib/native/load.js';
import type { MicroTrial } from '../results.js';
import { codecSubjects } from './codecs.js';
import { measureMicro } from './measure.js';
import { nativeSubjects } from './native.js';
import { tcpPair, unixPair } from './sockets.js';
import { transportSubjects } from './transports.js';

export async function runMicro(folder: string): Promise<MicroTrial[]> {
  const [tcp, unix] = [await tcpPair(), await unixPair(folder)];
  const native =
    addon === undefined ? undefined : await nativeSubjects(addon, folder, { tcp, unix });
  try {
    const trials: MicroTrial[] = [];
    const subjects = [
      ...(native?.subjects ?? []),
      ...transportSubjects(unix, addon !== undefined),
      ...codecSubjects(),
    ];
    for (const subject of subjects) trials.push(await measureMicro(subject));
    return trials;
  } finally {
    await native?.close();
    tcp.close();
    unix.close();
  }
}
