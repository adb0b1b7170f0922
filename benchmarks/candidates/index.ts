/** The candidates of each workload, and how to start them. */
import { addon } from '../../lib/native/load.js';
import { needsAddon, ourCandidates, type Row } from '../measure/plan.js';
import { strategies, type Candidate, type Skipped, type Workload } from '../results.js';
import type { Selection } from '../selection.js';
import type { Start } from '../measure/candidate-run.js';
import { differs, isControl, peerNames, whyMissing } from '../workloads.js';
import { nameOfCandidate } from '../names.js';
import { startOurs } from './ours.js';
import { startPeer, whyNot } from './peers.js';
import { findProgram, versionOf } from './programs.js';

export interface Candidates {
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
  readonly start: (workload: Workload, candidate: Candidate) => Start;
}

/** `limit` is the path of the server of `--limit`, if given. */
export function findCandidates(
  workloads: readonly Workload[],
  selection: Selection,
  limit: string | undefined,
): Candidates {
  const paths = new Map<string, string>();
  const skipped: Skipped[] = [];
  for (const name of peerNames) {
    const peer: Candidate = { type: 'peer', name, version: '' };
    if (!workloads.some((workload) => selection.wantsCandidate(peer, workload))) continue;
    const path = findProgram(name);
    if (path === undefined) {
      const why = 'it is not installed';
      skipped.push({ what: name, why, ...(selection.names(peer) && { failed: true }) });
    } else paths.set(name, path);
  }
  if (limit !== undefined) paths.set('limit', limit);
  else if (selection.wantsLimit) skipped.push({ what: 'limit', why: '--limit PATH is not given' });
  const peers = [...paths].map(([name, path]): Candidate => {
    return { type: 'peer', name, version: name === 'limit' ? '' : versionOf(path) };
  });
  const rows = workloads.map((workload) => ({
    workload,
    candidates: [
      ...ourCandidates(workload, addon !== undefined),
      ...peers.filter((peer) => whyNot(nameOfCandidate(peer), workload) === undefined),
    ].filter((candidate) => selection.wantsCandidate(candidate, workload)),
  }));
  skipped.push(...missingStrategies(workloads, selection));
  for (const peer of peers) {
    const wanted = workloads.filter((workload) => selection.wantsCandidate(peer, workload));
    skipped.push(...missingPeer(nameOfCandidate(peer), wanted));
  }
  const start =
    (workload: Workload, candidate: Candidate): Start =>
    (setting) =>
      candidate.type === 'strategy'
        ? startOurs({ strategy: candidate.strategy }, workload, setting)
        : startPeer(candidate.name, paths.get(candidate.name) ?? '', workload, setting);
  return { rows, skipped, start };
}

/** The workloads that another server cannot serve, by reason. */
function missingPeer(name: string, workloads: readonly Workload[]): Skipped[] {
  const reasons = new Map<string, Set<string>>();
  for (const workload of workloads) {
    const why = whyNot(name, workload);
    if (why === undefined) continue;
    const ofReplies = why.includes('replies');
    const what = ofReplies ? `${workload.kind}, ${workload.headers}` : workload.link;
    reasons.set(why, (reasons.get(why) ?? new Set()).add(what));
  }
  return [...reasons].map(([why, whats]) => ({ what: `${name} on ${[...whats].join(', ')}`, why }));
}

function missingStrategies(workloads: readonly Workload[], selection: Selection): Skipped[] {
  const links = [...new Set(workloads.map(({ link }) => link))];
  const missing = links.flatMap((link) => {
    const names = strategies.filter(
      (strategy) =>
        !isControl(strategy) && !differs(link, strategy) && selection.wantsStrategy(strategy),
    );
    return names.length === 0
      ? []
      : [{ what: `${names.join(', ')} on ${link}`, why: whyMissing[link] }];
  });
  const withoutControl = links.filter((link) => !differs(link, 'sends'));
  if (selection.wantsStrategy('sends') && withoutControl.length > 0) {
    const why = 'MSG_MORE and TCP_CORK apply to TCP only: name tcp or veth';
    missing.push({ what: `sends on ${withoutControl.join(', ')}`, why });
  }
  const leftOut = strategies.filter(
    (strategy) =>
      selection.wantsStrategy(strategy) &&
      workloads.some(
        (workload) =>
          differs(workload.link, strategy) &&
          !selection.wantsCandidate({ type: 'strategy', strategy }, workload),
      ),
  );
  if (leftOut.length > 0) {
    const why = 'left out to save time: name veth and depth=1';
    missing.push({ what: `${leftOut.join(', ')}, one request at a time`, why });
  }
  const withoutAddon = strategies.filter(
    (strategy) =>
      needsAddon(strategy) &&
      selection.wantsStrategy(strategy) &&
      links.some((link) => differs(link, strategy)),
  );
  if (addon !== undefined || withoutAddon.length === 0) return missing;
  const why = `the addon does not load, so ${withoutAddon.length === 1 ? 'it is' : 'they are'} stream`;
  return [...missing, { what: withoutAddon.join(', '), why }];
}
