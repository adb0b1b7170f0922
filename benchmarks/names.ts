/** Names of candidates and workloads in the terminal output. */
import type { Candidate, Workload } from './results.js';

export function nameOfCandidate(candidate: Candidate): string {
  return candidate.type === 'strategy' ? candidate.strategy : candidate.name;
}

export function nameOf({ link, kind, connections, depth, headers }: Workload): string {
  return `${link} ${kind}, ${connections} × ${depth}, ${headers}`;
}
