/** Who is asked in each workload, and how to start them. */
import { addon } from '../../lib/native/load.js';
import { ourContenders, type Row } from '../plan.js';
import type { Contender, Skipped, Workload } from '../results.js';
import type { Selection } from '../selection.js';
import type { Start } from '../sample.js';
import { differs, peerNames, whyMissing } from '../workloads.js';
import { strategies } from '../results.js';
import { startOurs } from './ours.js';
import { canServe, startPeer } from './peers.js';
import { findProgram, versionOf } from './programs.js';

export interface Contenders {
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
  readonly start: (workload: Workload, contender: Contender) => Start;
}

/** `limit` is the path of a program that answers as fast as can be, where there is one. */
export function findContenders(
  workloads: readonly Workload[],
  selection: Selection,
  limit: string | undefined,
): Contenders {
  const paths = new Map<string, string>();
  const skipped: Skipped[] = [];
  for (const name of peerNames) {
    const path = findProgram(name);
    if (path === undefined) skipped.push({ what: name, why: 'it is not installed' });
    else paths.set(name, path);
  }
  if (limit !== undefined) paths.set('limit', limit);
  const peers = [...paths].map(([name, path]): Contender => {
    return { type: 'peer', name, version: name === 'limit' ? '' : versionOf(path) };
  });
  const rows = workloads.map((workload) => ({
    workload,
    contenders: [
      ...ourContenders(workload, addon !== undefined),
      ...peers.filter((peer) => peer.type === 'peer' && canServe(peer.name, workload)),
    ].filter((contender) => selection.wantsContender(contender, workload)),
  }));
  skipped.push(...missingStrategies(workloads, selection));
  const start =
    (workload: Workload, contender: Contender): Start =>
    (setting) =>
      contender.type === 'strategy'
        ? startOurs({ strategy: contender.strategy }, workload, setting)
        : startPeer(contender.name, paths.get(contender.name) ?? '', workload, setting);
  return { rows, skipped, start };
}

function missingStrategies(workloads: readonly Workload[], selection: Selection): Skipped[] {
  const links = [...new Set(workloads.map(({ link }) => link))];
  const missing = links.flatMap((link) => {
    const names = strategies.filter(
      (strategy) => !differs(link, strategy) && selection.wantsStrategy(strategy),
    );
    return names.length === 0
      ? []
      : [{ what: `${names.join(', ')} on ${link}`, why: whyMissing[link] }];
  });
  if (addon !== undefined) return missing;
  return [
    ...missing,
    { what: 'cork, more, vectored, batched', why: 'the addon does not load, so they are stream' },
  ];
}
