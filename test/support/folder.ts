import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A folder that is deleted after the test. Its path is short enough for a socket. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nbdcork-t-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
