/**
 * Pins our servers and their load generator to processors. If the kernel chose, they
 * would share a processor in some runs and not in others.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { findProgram } from '../candidates/programs.js';
import type { Processors } from '../results.js';

export interface CpuPinning extends Processors {
  /** Pins a server that has started; starting is faster on all processors. */
  readonly pinServer: (pid: number) => Promise<void>;
  /** Command prefix that starts a pinned load generator. */
  readonly loadPrefix: readonly string[];
}

/**
 * The load generator gets the last processor, and if possible its whole core.
 * Undefined with a single processor, or without `taskset`.
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

/** The processors of other cores, or of the same core if there is only one. */
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

/** Containers may be restricted to some processors, and processors may be offline. */
function usableProcessors(): number[] {
  const [, allowed = ''] = /^Cpus_allowed_list:(.*)$/m.exec(readList('/proc/self/status')) ?? [];
  const online = numbersOf(readList(`${system}/online`));
  return numbersOf(allowed).filter(
    (processor) => online.length === 0 || online.includes(processor),
  );
}

/** Empty if the file does not exist. */
function readList(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function works(taskset: string, processors: readonly number[]): boolean {
  // The shell pins itself, as servers are pinned.
  const move = '"$0" -a -p -c "$1" $$';
  const { status } = spawnSync('sh', ['-c', move, taskset, processors.join(',')], {
    stdio: 'ignore',
  });
  return status === 0;
}

/** Parses the kernel's list format, such as `0-2,5`. */
export function numbersOf(list: string): number[] {
  const trimmed = list.trim();
  const parts = trimmed === '' ? [] : trimmed.split(',');
  return parts.flatMap((part) => {
    const [first = NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 || 0 }, (_, index) => first + index);
  });
}
