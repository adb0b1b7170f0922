/**
 * Where our servers and their load run. Callers: bench.ts, selfcheck.ts. Left to
 * the kernel, a server and its load share a processor in some runs and not in
 * others, for as long as they live, and their speeds differ for it.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { findProgram } from '../candidates/programs.js';
import type { Processors } from '../results.js';

export interface CpuPinning extends Processors {
  /** Move a server, once it has started: on all processors that is done sooner. */
  readonly pinServer: (pid: number) => Promise<void>;
  /** What a load is started with. */
  readonly loadPrefix: readonly string[];
}

/**
 * The load has the last processor for itself, of a core whose others nobody uses
 * either, where there are so many. Undefined where there is one, or no `taskset`.
 */
export function findCpuPinning(): CpuPinning | undefined {
  const taskset = findProgram('taskset');
  if (taskset === undefined) return undefined;
  const usable = usableProcessors();
  const load = usable.at(-1);
  if (load === undefined || usable.length < 2) return undefined;
  const sameCore = numbersOf(readList(`${system}/cpu${load}/topology/thread_siblings_list`));
  const servers = serversBeside(load, usable, sameCore);
  // Sandboxes may forbid it.
  if (![servers, [load]].every((list) => works(taskset, list))) return undefined;
  return {
    servers,
    load,
    pinServer: async (pid) => {
      // All of its threads.
      await promisify(execFile)(taskset, ['-a', '-p', '-c', servers.join(','), String(pid)]);
    },
    loadPrefix: [taskset, '-c', String(load)],
  };
}

/** Where there is one core alone, its other processors. */
export function serversBeside(
  load: number,
  usable: readonly number[],
  sameCore: readonly number[],
): number[] {
  const others = usable.filter((processor) => processor !== load);
  const ofOtherCores = others.filter((processor) => !sameCore.includes(processor));
  return ofOtherCores.length > 0 ? ofOtherCores : others;
}

const system = '/sys/devices/system/cpu';

/** Containers may be allowed some of the machine's only, and some that are allowed be switched off. */
function usableProcessors(): number[] {
  const [, allowed = ''] = /^Cpus_allowed_list:(.*)$/m.exec(readList('/proc/self/status')) ?? [];
  const online = numbersOf(readList(`${system}/online`));
  return numbersOf(allowed).filter(
    (processor) => online.length === 0 || online.includes(processor),
  );
}

/** Empty where the system does not tell. */
function readList(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function works(taskset: string, processors: readonly number[]): boolean {
  // The shell moves itself, as servers are moved.
  const move = '"$0" -a -p -c "$1" $$';
  const { status } = spawnSync('sh', ['-c', move, taskset, processors.join(',')], {
    stdio: 'ignore',
  });
  return status === 0;
}

/** Of a list as the kernel writes it, `0-2,5`. */
export function numbersOf(list: string): number[] {
  const trimmed = list.trim();
  const parts = trimmed === '' ? [] : trimmed.split(',');
  return parts.flatMap((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 || 0 }, (_, index) => first + index);
  });
}
