/**
 * A file that is slow, hangs or fails, for whatever system calls are made on
 * it: nbdfuse in front of nbdkit's filters.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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

export interface HangingFile {
  readonly path: string;
  /** From now on no operation on the file ends, nor can it fail. */
  readonly hang: () => Promise<void>;
}

/** A file of 64 MiB whose device stops answering: as with a lost NFS server, a process that waits for it can be killed. */
export async function hangingFile(t: TestContext): Promise<HangingFile> {
  const processes: ChildProcess[] = [];
  const path = await mounted(t, ['memory', '64M'], processes);
  // From the first close(2) on, the kernel knows that there is nothing to wait for in later ones.
  closeSync(openSync(path, 'r+'));
  return {
    path,
    hang: async () => {
      for (const child of processes) {
        child.kill('SIGSTOP');
        while (!isStopped(child.pid ?? 0)) await new Promise(setImmediate);
      }
    },
  };
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
  return { path, ...switchOf(trigger) };
}

/** proc_pid_stat(5): the state is behind the name in parentheses. */
function isStopped(pid: number): boolean {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).every((thread) =>
    readFileSync(join(folder, thread, 'stat'), 'latin1').includes(') T '),
  );
}

/** A file of 64 MiB of which every fdatasync fails with EIO from `fail` on. */
export async function unflushableFile(t: TestContext): Promise<FailingFile> {
  const trigger = join(await temporaryFolder(t), 'trigger');
  const path = await mounted(t, [
    'eval',
    'get_size=echo 64M',
    'can_write=exit 0',
    'can_flush=exit 0',
    'pread=head -c $3 /dev/zero',
    'pwrite=cat > /dev/null',
    `flush=if test -e ${trigger}; then echo EIO failed >&2; exit 1; fi`,
  ]);
  return { path, ...switchOf(trigger) };
}

export interface LostFile {
  readonly path: string;
  /** From now on what has the file open gets ENOTCONN, and so does who opens it. */
  readonly lose: () => Promise<void>;
  /** Another file is at the path. */
  readonly restore: () => Promise<void>;
}

/** A file of 64 MiB whose file system ends. */
export async function lostFile(t: TestContext): Promise<LostFile> {
  const nbdkit = ['memory', '64M'];
  const processes: ChildProcess[] = [];
  const path = await mounted(t, nbdkit, processes);
  return {
    path,
    lose: async () => {
      const [child] = processes.splice(0);
      if (child === undefined) throw new Error('the file is lost already');
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
    restore: async () => {
      spawnSync('fusermount3', ['-u', '-z', path]);
      await mountAt(t, path, nbdkit, processes);
    },
  };
}

function switchOf(trigger: string): Omit<FailingFile, 'path'> {
  return {
    fail: () => {
      writeFileSync(trigger, '');
    },
    recover: () => rm(trigger),
  };
}

async function mounted(
  t: TestContext,
  nbdkit: readonly string[],
  processes: ChildProcess[] = [],
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-t-'));
  const path = join(folder, 'disk.img');
  writeFileSync(path, '');
  await mountAt(t, path, nbdkit, processes);
  return path;
}

async function mountAt(
  t: TestContext,
  path: string,
  nbdkit: readonly string[],
  processes: ChildProcess[],
): Promise<void> {
  const folder = dirname(path);
  const pidFile = join(folder, 'pid');
  await rm(pidFile, { force: true });
  const child = spawn(
    'nbdfuse',
    ['-P', pidFile, path, '--command', 'nbdkit', '-s', '--exit-with-parent', ...nbdkit],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  processes.push(child);
  const exited = once(child, 'exit');
  t.after(async () => {
    // First the end of what an operation may wait for, fusermount3's own too.
    child.kill('SIGKILL');
    await exited;
    spawnSync('fusermount3', ['-u', '-z', path]);
    await rm(folder, { recursive: true, force: true });
  });
  const watcher = watch(folder);
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  void exited.then(() => watcher.emit('error', new Error(`nbdfuse ended: ${errors}`)));
  while (!existsSync(pidFile)) await once(watcher, 'change');
  watcher.removeAllListeners();
  watcher.on('error', () => undefined);
  watcher.close();
}
