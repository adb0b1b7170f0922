/** How people read what is measured: at the terminal, and in what could not be. */
import type { Contender, Workload } from './results.js';

export function nameOfContender(contender: Contender): string {
  return contender.type === 'strategy' ? contender.strategy : contender.name;
}

export function nameOf({ link, kind, connections, depth, headers }: Workload): string {
  return `${link} ${kind}, ${connections} × ${depth}, ${headers}`;
}
