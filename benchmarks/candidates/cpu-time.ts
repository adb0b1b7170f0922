/** The time that a process and its children took, as the kernel counts it. */
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

let ticksPerSecond: number | undefined;

/** User and system time in microseconds, to a tick of the clock; null where it cannot be known. */
export function cpuMicrosecondsOf(pid: number): number | null {
  try {
    ticksPerSecond ??= Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout);
    return (ticksOf(pid) * 1e6) / ticksPerSecond;
  } catch {
    return null; // not Linux, or it is gone
  }
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name of the program, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  const theirs = children === '' ? [] : children.split(' ').map((child) => ticksOf(Number(child)));
  // Its own, user and system, and likewise of children that have ended.
  const own = fields.slice(11, 15).map(Number);
  return [...own, ...theirs].reduce((sum, ticks) => sum + ticks, 0);
}
