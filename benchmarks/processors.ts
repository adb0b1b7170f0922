/**
 * Where our servers and their load run. Callers: bench.ts, selfcheck.ts. Left to
 * the kernel, a server and its load share a processor in some runs and not in
 * others, for as long as they live, and one run is a fifth slower than the next.
 */
import { readFileSync } from 'node:fs';
import { findProgram } from './contenders/programs.js';
import type { Processors } from './results.js';

export interface Apart extends Processors {
  /** What a server is started with. */
  readonly serverPrefix: readonly string[];
  /** What a load is started with. */
  readonly loadPrefix: readonly string[];
}

/** The load has the last processor for itself. Undefined where there is one, or no `taskset`. */
export function findApart(): Apart | undefined {
  const taskset = findProgram('taskset');
  const allowed = numbersOf(allowedList());
  const load = allowed.at(-1);
  if (taskset === undefined || load === undefined || allowed.length < 2) return undefined;
  const servers = allowed.slice(0, -1);
  return {
    servers,
    load,
    serverPrefix: [taskset, '-c', servers.join(',')],
    loadPrefix: [taskset, '-c', String(load)],
  };
}

/** Containers may be allowed some of the machine's only. */
function allowedList(): string {
  const status = readFileSync('/proc/self/status', 'latin1');
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
}

/** Of a list as the kernel writes it, `0-2,5`. */
export function numbersOf(list: string): number[] {
  const parts = list === '' ? [] : list.split(',');
  return parts.flatMap((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 || 0 }, (_, index) => first + index);
  });
}
