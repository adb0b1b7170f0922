/** What samples need, for tests that take some. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WorkerProcess } from '../../measure/worker-process.js';
import type { LoadResponses, LoadRequest } from '../../load/messages.js';
import type { Load, Environment, Start, Measurement } from '../../measure/candidate-run.js';
import type { Timing } from '../../measure/plan.js';
import type { Workload } from '../../results.js';
import { takeSamples } from '../../measure/sample.js';
import { temporaryFolder } from '../../../test/support/folder.js';

export const loadPath = fileURLToPath(new URL('../../load/main.js', import.meta.url));

/** The load's process, which is gone after the test. */
export function startLoad(t: TestContext): Load {
  const load = new WorkerProcess<LoadRequest, LoadResponses>(loadPath);
  t.after(() => load.stop());
  return load;
}

export interface SingleEnvironment extends Environment {
  readonly load: Load;
}

export async function makeEnvironment(
  t: TestContext,
  prefix: readonly string[] = [],
): Promise<SingleEnvironment> {
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
    pinning: undefined,
  };
}

/** Of one that has no runs. @throws what kept it from being taken. */
export async function takeSample(
  start: Start,
  workload: Workload,
  timing: Pick<Timing, 'seconds' | 'warmUpSeconds'>,
  { load, ...environment }: SingleEnvironment,
): Promise<Measurement> {
  const [result] = await takeSamples(
    workload,
    [{ start, load, isOurs: true }],
    timing,
    environment,
  );
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason;
}
