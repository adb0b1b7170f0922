/** Servers with several threads, and files for them. */
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { openSource, type Backend } from '../../../../lib/index.js';
import { temporaryFolder } from '../../../support/folder.js';

export const diskBytes = 2 ** 20;

/** Disks that several threads can serve, by their name. */
export const disks: Readonly<Record<string, (t: TestContext) => Promise<Backend>>> = {
  'a file': async (t) => openSource(await newFile(t)),
  'shared memory': () => openSource(`memory:${diskBytes}`, { shared: true }),
};

/** The path of a new file of zeros. */
export async function newFile(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), 'disk.img');
  await writeFile(path, '');
  await truncate(path, diskBytes);
  return path;
}

/** The threads that are started during the test, in their order. */
export function watchThreads(t: TestContext): Worker[] {
  const workers: Worker[] = [];
  const add = (worker: Worker): void => void workers.push(worker);
  process.on('worker', add);
  t.after(() => process.off('worker', add));
  return workers;
}
