/** What samples need, for tests that take some. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Asked } from '../../../benchmarks/ask.js';
import type { LoadAnswers, LoadQuestion } from '../../../benchmarks/load/messages.js';
import type { Means } from '../../../benchmarks/sample.js';
import { temporaryFolder } from '../../support/folder.js';

const loadPath = fileURLToPath(new URL('../../../benchmarks/load/main.js', import.meta.url));

/** The load's process, which is gone after the test. */
export function startLoad(t: TestContext): Asked<LoadQuestion, LoadAnswers> {
  const load = new Asked<LoadQuestion, LoadAnswers>(loadPath);
  t.after(() => load.stop());
  return load;
}

export async function makeMeans(t: TestContext, prefix: readonly string[] = []): Promise<Means> {
  const keyFolder = await temporaryFolder(t);
  const preSharedKey = { identity: 'bench', keyHex: '00'.repeat(31) + '01' };
  await writeFile(
    join(keyFolder, 'keys.psk'),
    `${preSharedKey.identity}:${preSharedKey.keyHex}\n`,
    { mode: 0o600 },
  );
  return {
    load: startLoad(t),
    fio: undefined,
    signal: t.signal,
    preSharedKey,
    keyFolder,
    prefix,
    host: '127.0.0.1',
  };
}
