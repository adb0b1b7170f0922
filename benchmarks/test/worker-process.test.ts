/** Processes that answer questions, or do not. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Asked } from '../measure/worker-process.js';
import { temporaryFolder } from '../../test/support/folder.js';

interface Word {
  readonly type: 'word';
  readonly word: string;
}

test('who does not answer is ended, and the next question gets its own answer', async (t) => {
  const path = join(await temporaryFolder(t), 'silent.mjs');
  await writeFile(
    path,
    `process.on('message', ({ word }) => word !== 'hang' && process.send({ answer: word }));`,
  );
  const asked = new Asked<Word, { word: string }>(path, { patienceSeconds: 0.05 });
  t.after(() => asked.stop());
  const { pid } = asked;
  await assert.rejects(asked.ask({ type: 'word', word: 'hang' }), {
    code: 'NBDCORK_BENCH',
    message: /^No answer within 0\.05 s/,
  });
  assert.equal(await asked.ask({ type: 'word', word: 'hello' }, 600), 'hello');
  assert.notEqual(asked.pid, pid);
});

test('who is told to stop between two questions is not started anew', async (t) => {
  const path = join(await temporaryFolder(t), 'echo.mjs');
  await writeFile(path, `process.on('message', ({ word }) => process.send({ answer: word }));`);
  const stopping = new AbortController();
  const asked = new Asked<Word, { word: string }>(path, { signal: stopping.signal });
  t.after(() => asked.stop());
  assert.equal(await asked.ask({ type: 'word', word: 'hello' }), 'hello');
  stopping.abort();
  await asked.stop();
  await assert.rejects(asked.ask({ type: 'word', word: 'again' }), { name: 'AbortError' });
});
