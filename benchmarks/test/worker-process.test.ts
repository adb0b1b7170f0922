/** Processes that respond to requests, or do not. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { WorkerProcess } from '../measure/worker-process.js';
import { temporaryFolder } from '../../test/support/folder.js';

interface Word {
  readonly type: 'word';
  readonly word: string;
}

test('a process that does not respond is restarted for the next request', async (t) => {
  const path = join(await temporaryFolder(t), 'silent.mjs');
  await writeFile(
    path,
    `process.on('message', ({ word }) => word !== 'hang' && process.send({ value: word }));`,
  );
  const worker = new WorkerProcess<Word, { word: string }>(path, { timeoutSeconds: 0.05 });
  t.after(() => worker.stop());
  const { pid } = worker;
  await assert.rejects(worker.request({ type: 'word', word: 'hang' }), {
    code: 'NBDCORK_BENCH',
    message: /^No response within 0\.05 s/,
  });
  assert.equal(await worker.request({ type: 'word', word: 'hello' }, 600), 'hello');
  assert.notEqual(worker.pid, pid);
});

test('an aborted process is not restarted', async (t) => {
  const path = join(await temporaryFolder(t), 'echo.mjs');
  await writeFile(path, `process.on('message', ({ word }) => process.send({ value: word }));`);
  const stopping = new AbortController();
  const worker = new WorkerProcess<Word, { word: string }>(path, { signal: stopping.signal });
  t.after(() => worker.stop());
  assert.equal(await worker.request({ type: 'word', word: 'hello' }), 'hello');
  stopping.abort();
  await worker.stop();
  await assert.rejects(worker.request({ type: 'word', word: 'again' }), { name: 'AbortError' });
});
