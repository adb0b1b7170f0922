/** The memory of another process, as the kernel reports it. */
import { readFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';

export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'ascii');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** The most within this time. */
export async function peakOver(pid: number, ms: number): Promise<number> {
  let peak = 0;
  for (let passed = 0; passed < ms; passed += 50) {
    peak = Math.max(peak, await residentBytes(pid));
    await setTimeout(50);
  }
  return peak;
}

export function inMebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
