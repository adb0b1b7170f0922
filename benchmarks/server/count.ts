/** What this process has done, as the kernel and the transports counted it. */
import { readdirSync, readFileSync } from 'node:fs';
import { descriptorKind } from '../../lib/native/addon.js';
import { addon } from '../../lib/native/load.js';
import type { NbdServer } from '../../lib/index.js';
import type { Counts } from './messages.js';

export function count({ transports }: Pick<NbdServer, 'transports'>): Counts {
  const [first] = transports;
  if (first === undefined) throw new Error('No connection to count.');
  let replies = 0;
  let calls = 0;
  for (const { counters } of transports) {
    replies += counters.messages;
    calls += counters.sends + counters.corks;
  }
  const inputAndOutput = readsAndWrites();
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return {
    strategy: first.strategy,
    replies,
    systemCalls: inputAndOutput === null ? null : calls + inputAndOutput,
    ...segments(),
    cpuMicroseconds: userCPUTime + systemCPUTime,
  };
}

/**
 * read(2), write(2) and their like, which the kernel counts by process; send(2)
 * and sendmsg(2) are not among them. libuv reads and writes sockets so.
 */
function readsAndWrites(): number | null {
  try {
    const text = readFileSync('/proc/self/io', 'latin1');
    const [, reads, writes] = /^syscr: (\d+)\nsyscw: (\d+)$/m.exec(text) ?? [];
    return reads === undefined ? null : Number(reads) + Number(writes);
  } catch {
    return null; // not Linux, or not allowed
  }
}

/** Of all TCP sockets of the process, those beneath TLS among them. */
function segments(): Pick<Counts, 'segments' | 'segmentBytes'> {
  if (addon === undefined) return { segments: null, segmentBytes: null };
  const info = new Float64Array(4);
  let [dataSegments, bytes, sockets] = [0, 0, 0];
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (addon.kindOf(fd) !== descriptorKind.tcp || addon.tcpInfo(fd, info) < 0) continue;
    sockets++;
    bytes += info[1] ?? 0;
    dataSegments += info[2] ?? 0;
  }
  if (sockets === 0) return { segments: null, segmentBytes: null };
  return { segments: dataSegments, segmentBytes: bytes };
}
