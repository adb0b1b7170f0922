import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { failure, temporaryFolder, withoutAddon } from './support/native.js';

const workersUrl = new URL('../../lib/backend/file/io/workers.js', import.meta.url).href;
const loadUrl = new URL('../../lib/native/load.js', import.meta.url).href;
const linux = process.platform === 'linux' ? false : 'only Linux has the addon';

interface Answer {
  readonly loaded: boolean;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

/** Loads the addon twice, and prints the results and the warnings. */
const report = `
  const warnings = [];
  process.on('warning', ({ code, message }) => warnings.push({ code, message }));
  const { addon, loadAddon } = await import('${loadUrl}');
  const loaded = addon !== undefined;
  if ((loadAddon() !== undefined) !== loaded) throw new Error('the second answer differs');
  process.on('exit', () => console.log(JSON.stringify({ loaded, warnings })));
`;

describe('loadAddon', () => {
  it('loads the addon without a warning', { skip: withoutAddon }, async () => {
    assert.deepEqual(await answerOf(report), { loaded: true, warnings: [] });
  });

  it('returns undefined, without a warning, with NBDCORK_NO_NATIVE=1', async () => {
    const answer = await answerOf(report, { NBDCORK_NO_NATIVE: '1' });
    assert.deepEqual(answer, { loaded: false, warnings: [] });
  });

  it('returns undefined, without a warning, on other systems', async () => {
    const elsewhere = `Object.defineProperty(process, 'platform', { value: 'darwin' });`;
    assert.deepEqual(await answerOf(elsewhere + report), { loaded: false, warnings: [] });
  });

  it('warns once if the addon is missing', { skip: linux }, async (t) => {
    const folder = temporaryFolder(t);
    assertOneWarning(await answerOf(report, lookIn(folder)), /No native build was found/);
  });

  it('warns once if the addon is broken', { skip: linux }, async (t) => {
    const environment = lookIn(folderWithAddon(t, 'not a shared object'));
    assertOneWarning(await answerOf(report, environment), /nbdcork\.node/);
  });

  it('warns once if the addon was built from another version', { skip: linux }, async (t) => {
    const older = `
      import module from 'node:module';
      module._extensions['.node'] = (loaded) => { loaded.exports = { setCork() {} }; };
    `;
    const environment = lookIn(folderWithAddon(t, ''));
    assertOneWarning(await answerOf(older + report, environment), /another version/);
  });
});

describe('the addon in worker threads', { skip: withoutAddon }, () => {
  it('works in several at once, and lets them and the process exit', async () => {
    const answer = await answerOf(`
      import { Worker } from 'node:worker_threads';
      const code = \`
        import { parentPort } from 'node:worker_threads';
        import { addon } from '${loadUrl}';
        parentPort.postMessage(addon.kindOf(2 ** 30));
      \`;
      const answers = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
        const worker = new Worker(code, { eval: true });
        let answer;
        worker.on('message', (message) => { answer = message; });
        worker.on('error', reject);
        worker.on('exit', (status) => resolve([answer, status]));
      })));
      console.log(JSON.stringify(answers));
    `);
    assert.deepEqual(answer, new Array(4).fill([failure('EBADF'), 0]));
  });

  it('survives the end of a worker during its calls', async (t) => {
    const path = join(temporaryFolder(t), 'file');
    const answer = await answerOf(`
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      const code = \`
        import { openSync } from 'node:fs';
        import { parentPort, workerData } from 'node:worker_threads';
        import { addon } from '${loadUrl}';
        import { Workers } from '${workersUrl}';
        const fd = openSync(workerData, 'w+');
        const workers = new Workers(addon);
        const allocate = { kind: 3, fd, position: 0, length: 4096, mode: 0 };
        const again = () => workers.run(allocate).then(again);
        for (let i = 0; i < 64; i++) again();
        parentPort.postMessage('under way');
      \`;
      const workers = Array.from({ length: 4 }, () =>
        new Worker(code, { eval: true, workerData: ${JSON.stringify(path)} }));
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      console.log(JSON.stringify(await Promise.all(workers.map((worker) => worker.terminate()))));
    `);
    assert.deepEqual(answer, [1, 1, 1, 1]);
  });
});

/** The JSON output of a module, whose process must exit by itself with status 0. */
async function answerOf(code: string, environment: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    env: { ...process.env, NBDCORK_NO_NATIVE: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  assert.equal(child.exitCode, 0, errors);
  return JSON.parse(output);
}

/** node-gyp-build searches the folder in this variable instead of the package. */
function lookIn(folder: string): NodeJS.ProcessEnv {
  return { NBDCORK_PREBUILD: folder };
}

function folderWithAddon(t: TestContext, content: string): string {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true });
  writeFileSync(join(folder, 'build', 'Release', 'nbdcork.node'), content);
  return folder;
}

function assertOneWarning(answer: unknown, reason: RegExp): void {
  const { loaded, warnings } = answer as Answer;
  assert.equal(loaded, false);
  assert.equal(warnings.length, 1);
  assert.equal(warnings[0]?.code, 'NBDCORK_NO_ADDON');
  assert.match(warnings[0].message, reason);
  assert.match(warnings[0].message, /Node streams .*"npm rebuild nbdcork"/s);
}
