/** Other servers that do not start: the report says why. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startOurs } from '../candidates/ours.js';
import { startPeer } from '../candidates/peers.js';
import { startDaemon } from '../candidates/programs.js';
import { workload } from '../workloads.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { makeEnvironment, takeSample } from './support/environment.js';

const targetWorkload = workload('unix', 'read-4k', 1);
const timing = { seconds: 0.01, warmUpSeconds: 0.01 };

/** A program that says a lot, the reason last, and ends with 3. */
async function failingProgram(t: TestContext, reason: string): Promise<string> {
  const path = join(await temporaryFolder(t), 'server');
  const script = `#!/bin/sh
line=0
while [ $line -lt 1000 ]; do echo "starting, step $line" >&2; line=$((line + 1)); done
echo >&2
echo '${reason}' >&2
exit 3
`;
  await writeFile(path, script, { mode: 0o755 });
  return path;
}

const lastWords = 'step 998 / starting, step 999 / no room for a disk';

test('a server that exits is reported at once, with its last lines', async (t) => {
  const path = await failingProgram(t, 'no room for a disk');
  const environment = await makeEnvironment(t);
  const start = performance.now();
  await assert.rejects(
    takeSample(
      (setting) => startPeer('limit', path, targetWorkload, setting),
      targetWorkload,
      timing,
      environment,
    ),
    (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'NBDCORK_BENCH');
      assert.match(error.message, /^The server ended with 3: /);
      assert.ok(error.message.endsWith(lastWords), error.message);
      assert.ok(error.message.length < 200, 'five lines, not a thousand');
      return true;
    },
  );
  assert.ok(performance.now() - start < 8000, 'the load waits for 10 s');
  // The load, which was still trying, is there for the next one.
  const ours = await takeSample(
    (setting) => startOurs({ strategy: 'stream' }, targetWorkload, setting),
    targetWorkload,
    timing,
    environment,
  );
  assert.ok(ours.sample.requestsPerSecond > 0);
});

test('a server without an error message', async (t) => {
  const environment = await makeEnvironment(t);
  await assert.rejects(
    takeSample(
      (setting) => startPeer('limit', '/bin/false', targetWorkload, setting),
      targetWorkload,
      timing,
      environment,
    ),
    { code: 'NBDCORK_BENCH', message: 'The server ended with 1: it wrote no error message' },
  );
});

test('a server that fails before it forks into the background', async (t) => {
  const path = await failingProgram(t, 'no room for a disk');
  await assert.rejects(
    startDaemon([path], join(await temporaryFolder(t), 'pid')),
    (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'NBDCORK_BENCH');
      assert.ok(error.message.endsWith(lastWords), error.message);
      assert.ok(error.message.length < 300, 'five lines, not a thousand');
      return true;
    },
  );
});

test('one that cannot be run at all says so', async (t) => {
  const path = join(await temporaryFolder(t), 'server');
  await writeFile(path, 'neither a script nor a program', { mode: 0o644 });
  const environment = await makeEnvironment(t);
  await assert.rejects(
    takeSample(
      (setting) => startPeer('limit', path, targetWorkload, setting),
      targetWorkload,
      timing,
      environment,
    ),
    { code: 'EACCES' },
  );
});
