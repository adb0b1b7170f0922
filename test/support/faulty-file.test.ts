import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import { canMakeFaultyFiles, failingFile, slowFile } from './faulty-file.js';

test('a slow file takes the time that it was told', async (t) => {
  if (!canMakeFaultyFiles(t)) return;
  const file = await open(await slowFile(t, 'delay-write=200ms'), 'r+');
  const started = performance.now();
  await file.write(Buffer.alloc(4096));
  await file.datasync();
  assert.ok(performance.now() - started >= 200);
  await file.close();
});

test('a failing file fails when it is told to, and recovers', async (t) => {
  if (!canMakeFaultyFiles(t)) return;
  const { path, fail, recover } = await failingFile(t, 'pwrite');
  const file = await open(path, 'r+');
  const write = async (): Promise<void> => {
    await file.write(Buffer.alloc(4096));
    await file.datasync();
  };
  await write();
  fail();
  await assert.rejects(write(), { code: 'EIO' });
  await recover();
  await write();
  await file.close();
});
