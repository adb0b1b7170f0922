/** How people read what is measured: at the terminal, and in what could not be. */
import type { Candidate, Workload } from './results.js';

export function nameOfCandidate(candidate: Candidate): string {
  return candidate.type === 'strategy' ? candidate.strategy : candidate.name;
}

export function nameOf({ link, kind, connections, depth, headers }: Workload): string {
  return `${link} ${kind}, ${connections} × ${depth}, ${headers}`;
}
