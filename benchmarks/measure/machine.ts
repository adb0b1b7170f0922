/** The machine, the version and the commit of a run. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { versionOf } from '../candidates/programs.js';
import type { Machine } from '../results.js';

const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

/** `fio` is its path, if it is the load generator. */
export function describeMachine(fio?: string): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    openssl: process.versions.openssl,
    fio: fio === undefined ? null : versionOf(fio),
  };
}

export function packageVersion(): string {
  const require = createRequire(import.meta.url);
  const manifest: unknown = require('nbdcork/package.json');
  const found = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return found ? String(manifest.version) : 'unknown';
}

/** Null outside a clone. */
export function commit(): string | null {
  try {
    const inside = git('rev-parse', '--show-prefix');
    if (inside !== '') return null; // another repository
    return git('rev-parse', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '-dirty');
  } catch {
    return null;
  }
}

function git(...args: readonly string[]): string {
  const stdio = ['ignore', 'pipe', 'ignore'] as const;
  return execFileSync('git', args, {
    cwd: packageRoot,
    encoding: 'utf8',
    stdio: [...stdio],
  }).trim();
}
