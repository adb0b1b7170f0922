/**
 * Programs of other projects that tests run. A test whose program is missing is
 * skipped with that reason; with NBDCORK_REQUIRE_PEERS=1 it fails.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type SpawnOptions } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

/** The last two contain file system tools, and are not on every user's PATH. */
const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];

/** All executables of that name. */
function pathsOf(tool: string): string[] {
  return folders
    .map((folder) => join(folder, tool))
    .filter((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function pathOf(tool: string): string {
  const [path] = pathsOf(tool);
  assert.ok(path !== undefined, `${tool} is not installed`);
  return path;
}

/** Skip the test for a reason; with NBDCORK_REQUIRE_PEERS=1, fail it. */
export function skipTest(t: TestContext, what: string): false {
  if (process.env['NBDCORK_REQUIRE_PEERS'] === '1')
    assert.fail(`${what} (NBDCORK_REQUIRE_PEERS=1)`);
  t.skip(what);
  return false;
}

/** `if (!needs(t, 'nbdinfo')) return;` */
export function needs(t: TestContext, ...tools: readonly string[]): boolean {
  const missing = tools.filter((tool) => pathsOf(tool).length === 0);
  if (missing.length === 0) return true;
  return skipTest(t, `not installed: ${missing.join(', ')}`);
}

/**
 * A Python with libnbd's module `nbd`. Debian's package is for /usr/bin/python3,
 * which another Python on the PATH may hide.
 */
export function pythonWithNbd(t: TestContext): string | undefined {
  const found = pathsOf('python3').find(
    (path) => spawnSync(path, ['-c', 'import nbd'], { stdio: 'ignore' }).status === 0,
  );
  if (found === undefined) skipTest(t, "not installed: python3 with libnbd's module nbd");
  return found;
}

/** A browser of the Chromium family: the one in NBDCORK_CHROMIUM, or the first on the PATH. */
export function chromiumPath(t: TestContext): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const chosen = process.env['NBDCORK_CHROMIUM'] ?? '';
  const found = chosen === '' ? names.flatMap(pathsOf)[0] : chosen;
  if (found === undefined) skipTest(t, `not installed: ${names.join(' or ')}`);
  return found;
}

/** Also skips where tracing is forbidden, as in many containers. */
export function needsStrace(t: TestContext): boolean {
  if (!needs(t, 'strace')) return false;
  const { status, stderr } = spawnSync(pathOf('strace'), ['-o', '/dev/null', 'true']);
  return status === 0 || skipTest(t, `strace does not work: ${stderr.toString().trim()}`);
}

/** The folder that an environment variable names, created by a script. */
export function requiredFolder(
  t: TestContext,
  variable: string,
  script: string,
): string | undefined {
  const folder = process.env[variable];
  if (folder !== undefined && folder !== '') return folder;
  skipTest(t, `${variable} is not set: create its folder with ${script}`);
  return undefined;
}

export interface Finished {
  /** Null after a signal. */
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Run a program, by name or path, until it exits. */
export async function run(
  t: TestContext,
  tool: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env'> = {},
): Promise<Finished> {
  const path = tool.includes('/') ? tool : pathOf(tool);
  const child = spawn(path, args, {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: t.signal,
  });
  const status = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [stdout, stderr] = await Promise.all([buffer(child.stdout), text(child.stderr), status]);
  return { status: await status, stdout, stderr };
}

/** Run a program that must exit with 0. Returns its standard output. */
export async function succeed(
  t: TestContext,
  tool: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env'> = {},
): Promise<string> {
  const { status, stdout, stderr } = await run(t, tool, args, options);
  assert.equal(status, 0, `${tool} ${args.join(' ')}\n${stdout.toString()}${stderr}`);
  return stdout.toString();
}
