/**
 * A file that is slow, hangs or fails, for whatever system calls are made on
 * it: nbdfuse in front of nbdkit's filters.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './folder.js';
import { needs, skipTest } from './peers.js';

/** What a faulty file needs. `if (!canMakeFaultyFiles(t)) return;` */
export function canMakeFaultyFiles(t: TestContext): boolean {
  if (!needs(t, 'nbdkit', 'nbdfuse', 'fusermount3')) return false;
  return existsSync('/dev/fuse') || skipTest(t, 'there is no /dev/fuse');
}

/** A file of 64 MiB whose operations take as long as nbdkit's delay filter is told, such as `delay-write=200ms`. */
export function slowFile(t: TestContext, ...delays: readonly string[]): Promise<string> {
  return mounted(t, ['--filter=delay', 'memory', '64M', ...delays]);
}

export interface FailingFile {
  readonly path: string;
  /** From now on all of the file's operations of the kind fail with EIO. */
  readonly fail: () => void;
  readonly recover: () => Promise<void>;
}

/** A file of 64 MiB, and a switch that makes its `operations` fail: nbdkit's `pread`, `pwrite`, `zero`, `trim`. */
export async function failingFile(
  t: TestContext,
  ...operations: readonly string[]
): Promise<FailingFile> {
  const trigger = join(await temporaryFolder(t), 'trigger');
  const path = await mounted(t, [
    '--filter=error',
    'memory',
    '64M',
    ...operations.flatMap((operation) => [
      `error-${operation}=EIO`,
      `error-${operation}-rate=100%`,
      `error-${operation}-file=${trigger}`,
    ]),
  ]);
  return {
    path,
    fail: () => {
      writeFileSync(trigger, '');
    },
    recover: () => rm(trigger),
  };
}

async function mounted(t: TestContext, nbdkit: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-t-'));
  const path = join(folder, 'disk.img');
  const pidFile = join(folder, 'pid');
  writeFileSync(path, '');
  const child = spawn(
    'nbdfuse',
    ['-P', pidFile, path, '--command', 'nbdkit', '-s', '--exit-with-parent', ...nbdkit],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(child, 'exit');
  t.after(async () => {
    // Also while an operation hangs.
    spawnSync('fusermount3', ['-u', '-z', path]);
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true });
  });
  const watcher = watch(folder);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  void exited.then(() => watcher.emit('error', new Error(`nbdfuse ended: ${errors}`)));
  while (!existsSync(pidFile)) await once(watcher, 'change');
  watcher.removeAllListeners();
  watcher.on('error', () => undefined);
  watcher.close();
  return path;
}
