/** What tests of direct I/O and of the system's cache need. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { codeOf } from '../../../../lib/errors.js';
import { addon } from '../../../../lib/native/load.js';
import { needs, skipTest } from '../../../support/peers.js';

export const addonSkip: string | undefined =
  addon === undefined ? 'the addon is missing' : undefined;

/** Why temporary files have no direct I/O here, if so. */
export const directSkip: string | undefined = addonSkip ?? withoutDirectIo();

/** The magic number of a tmpfs, whose files have no device that their pages could be on. */
const tmpfs = 0x01021994;

/** `if (!canMeasureCache(t)) return;` */
export function canMeasureCache(t: TestContext): boolean {
  if (addonSkip !== undefined) {
    t.skip(addonSkip);
    return false;
  }
  if (!needs(t, 'fincore')) return false;
  return statfsSync(tmpdir()).type !== tmpfs || skipTest(t, 'temporary files are in a tmpfs');
}

/** Bytes of the file that are in the system's cache. */
export function cachedBytes(path: string): number {
  const args = ['--bytes', '--noheadings', '--output', 'RES', path];
  return Number(execFileSync('fincore', args, { encoding: 'utf8' }));
}

function withoutDirectIo(): string | undefined {
  const path = join(tmpdir(), `nbdcork-direct-${process.pid}`);
  try {
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_DIRECT));
    return undefined;
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error;
    return 'the file system of temporary files has no direct I/O';
  } finally {
    rmSync(path, { force: true });
  }
}
